"""Every edit under PyTorch, and those that kornia has too against kornia."""

import kornia
import numpy as np
import pytest
import torch
from edit_helpers import PLAIN, assert_as_on_files, close

from vgzoo import edit

RNG = np.random.default_rng(6)
CLIP = RNG.integers(0, 256, (3, 24, 32, 3), "uint8")
FLOAT = (CLIP / 255).astype("float32")
SMOOTH = edit.Blur(2).host(CLIP)
INNER = (slice(None), slice(4, -4), slice(4, -4))


@pytest.mark.parametrize("name", PLAIN)
def test_an_edit_is_what_it_is_on_files(name):
    assert_as_on_files(name)


def by_kornia(clip: np.ndarray, function) -> np.ndarray:
    """A function of pictures (N, C, H, W) in [0, 1], done to uint8 (T, H, W, C)."""
    pictures = torch.from_numpy(clip / 255).permute(0, 3, 1, 2).float()
    return function(pictures).permute(0, 2, 3, 1).numpy() * 255


@pytest.mark.parametrize(
    "layer, function",
    [
        (edit.Blur(1.5), lambda x: kornia.filters.gaussian_blur2d(x, (11, 11), (1.5, 1.5))),
        (edit.BoxBlur(2), lambda x: kornia.filters.box_blur(x, (5, 5))),
        (edit.Sharpen(1, 1), lambda x: kornia.filters.unsharp_mask(x, (7, 7), (1.0, 1.0))),
        (edit.Gamma(1.8), lambda x: kornia.enhance.adjust_gamma(x, 1 / 1.8)),
        (edit.Brightness(0.2), lambda x: kornia.enhance.adjust_brightness(x, 0.2)),
        (edit.Contrast(1.4, 0), lambda x: kornia.enhance.adjust_contrast(x, 1.4)),
        (edit.Invert(), kornia.enhance.invert),
        (edit.Posterize(3), lambda x: kornia.enhance.posterize(x, 3)),
        (edit.Solarize(0.4), lambda x: kornia.enhance.solarize(x, 0.4)),
        (edit.Sepia(), lambda x: kornia.color.sepia(x, rescale=False)),
        (edit.Flip(), kornia.geometry.hflip),
        (edit.Resize(12, 20, "linear"), lambda x: kornia.geometry.resize(x, (12, 20))),
    ],
    ids=lambda layer: getattr(layer, "edit_name", ""),
)
def test_edits_are_those_of_kornia(layer, function):
    wanted = by_kornia(CLIP, function).clip(0, 255)
    close(layer(CLIP), np.rint(wanted))
    close(np.asarray(layer(FLOAT)) * 255, wanted, 0.1)
    close(layer.host(CLIP), np.rint(wanted))


@pytest.mark.parametrize(
    "layer, function",
    [
        (edit.Median(1), lambda x: kornia.filters.median_blur(x, (3, 3))),
        (
            edit.Edges(),
            lambda x: kornia.filters.spatial_gradient(luma(x), normalized=False).norm(dim=2),
        ),
    ],
    ids=lambda layer: getattr(layer, "edit_name", ""),
)
def test_away_from_the_border_these_are_too(layer, function):
    wanted = by_kornia(CLIP, function).clip(0, 255)
    close(np.asarray(layer(CLIP))[INNER], np.broadcast_to(wanted, CLIP.shape)[INNER], 1.01)


def luma(pictures):
    return (pictures * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(1, keepdim=True)


def test_turns_and_corners_are_those_of_kornia():
    angle = torch.full((len(CLIP),), 25.0)
    wanted = by_kornia(SMOOTH, lambda x: kornia.geometry.rotate(x, angle))
    close(edit.Rotate(25)(SMOOTH), wanted, 2)
    goal = np.array([[0.1, 0.05], [0.9, 0.2], [0.8, 0.95], [0.0, 0.7]], "float32")
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], "float32")
    size = np.array([31, 23], "float32")
    points = (torch.from_numpy((c * size)[None].repeat(len(CLIP), 0)) for c in (corners, goal))
    matrix = kornia.geometry.get_perspective_transform(*points)
    wanted = by_kornia(
        SMOOTH, lambda x: kornia.geometry.warp_perspective(x, matrix, (24, 32), align_corners=True)
    )
    close(edit.Perspective(goal.tolist())(SMOOTH), wanted, 2)

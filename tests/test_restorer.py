"""One network for all that was lost: what it is trained on, and how it goes through clips."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from every import build, fine_tune, kept
from films import write_films
from keras import ops
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

from vgzoo import data, hub
from vgzoo.errors import VgzooError
from vgzoo.layers import damage
from vgzoo.layers.aligning import Aligner, motions
from vgzoo.layers.registering import registered
from vgzoo.layers.warp import fetch, warp
from vgzoo.metrics import lossy
from vgzoo.models._restoring import KIND, METHODS, in_tiles
from vgzoo.models.restorer import Restorer

RNG = np.random.default_rng(0)
CLIP = RNG.integers(0, 256, (4, 12, 20, 3), "uint8")


@pytest.fixture(scope="module")
def model() -> Restorer:
    return kept("restorer")


def smooth(*shape: int) -> np.ndarray:
    """Clips in [0, 1] without edges."""
    noise = ndimage.gaussian_filter(RNG.normal(size=shape), (0, 0, 2, 2, 0))
    return (0.5 + 0.25 * noise / noise.std()).clip(0, 1).astype("float32")


# -- damage --------------------------------------------------------------------------------


def test_enlarging_is_that_of_opencv():
    small = RNG.uniform(size=(1, 1, 10, 14, 3)).astype("float32")
    for factor in (2, 4):
        made = damage.along(small, damage.cubic(10, factor), damage.cubic(14, factor))
        wanted = cv2.resize(small[0, 0], None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(made[0, 0], wanted, atol=1e-5)


def test_blur_is_gaussian_away_from_the_border():
    clip = smooth(2, 1, 32, 32, 3)
    made = ops.convert_to_numpy(damage.blurred(clip, ops.convert_to_tensor([1.0, 1.7])))
    for i, deviation in enumerate((1.0, 1.7)):
        wanted = ndimage.gaussian_filter(clip[i, 0], (deviation, deviation, 0), truncate=8)
        inner = np.s_[8:-8, 8:-8]
        np.testing.assert_allclose(made[i, 0][inner], wanted[inner], atol=1e-4)


@pytest.mark.parametrize("quality", [12, 20, 50, 75])
@pytest.mark.parametrize("size", [(64, 64), (56, 72)])
def test_blocks_are_those_of_jpeg(size, quality):
    """Beside Pillow's, in colour; of a side that is no whole number of blocks of chroma too."""
    clip = (255 * smooth(1, 1, *size, 3)).round().astype("uint8")
    wanted = lossy.jpeg(clip[0], quality)[0]
    clip = clip.astype("float32") / 255
    made = damage.blocky(ops.convert_to_tensor(clip), ops.convert_to_tensor([float(quality)]))
    made, clip = 255 * ops.convert_to_numpy(made)[0].clip(0, 1), 255 * clip[0]
    mix = damage.TO_YCC.T
    apart, lost = (np.abs((x - wanted) @ mix).mean(axis=(0, 1, 2)) for x in (made, clip))
    # Half a level is rounding; a frequency that rounding turns is more, and chroma has few.
    assert apart[0] < 1 and (apart < 0.5 * lost).all(), (apart, lost)


def test_blocks_are_those_of_each_frame_alone():
    """Of as many frames, too, as chroma has columns."""
    clip = ops.convert_to_tensor(smooth(1, 16, 32, 32, 3))
    quality = ops.convert_to_tensor([20.0])
    alone = [damage.blocky(clip[:, i : i + 1], quality) for i in range(16)]
    np.testing.assert_allclose(
        damage.blocky(clip, quality), ops.concatenate(alone, axis=1), atol=1e-5
    )


def test_a_restorer_is_shown_each_damage_alone_and_several_together():
    """Noise adds edges to a smooth clip; blur and blocks, where they come alone, take some away."""
    clip = np.repeat(smooth(1, 1, 32, 32, 3), 256, axis=0)
    kind, times = np.full(256, KIND["restore"], "int32"), np.zeros((256, 1), "float32")
    made, _ = damage.suffer(ops.convert_to_tensor(clip), kind, times, seed=0, step=1)
    made, clip = (np.abs(np.diff(x, axis=2)).mean(axis=(1, 2, 3, 4)) for x in (made, clip))
    assert 0.2 < (made > 1.02 * clip).mean() < 0.5
    assert 0.4 < (made < 0.98 * clip).mean() < 0.75


def test_each_kind_of_damage_is_what_it_says():
    clip = smooth(6, 5, 16, 16, 3)
    times = np.tile(np.arange(-2, 3, dtype="float32"), (6, 1))
    kind = np.arange(6, dtype="int32")
    made, known = (
        ops.convert_to_numpy(x) for x in damage.suffer(clip, kind, times, seed=0, step=3)
    )
    for i in (KIND["interpolate"], KIND["inpaint"]):
        np.testing.assert_array_equal(made[i], clip[i])
    assert (known[np.arange(6) != KIND["inpaint"]] == 1).all()
    hole = 1 - known[KIND["inpaint"]]
    assert 0 < hole.mean() < 0.6
    for factor in (2, 4):
        i = KIND[f"superresolve{factor}"]
        small = clip[i, 0].reshape(16 // factor, factor, 16 // factor, factor, 3).mean((1, 3))
        wanted = cv2.resize(small, (16, 16), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(made[i, 0], wanted.clip(0, 1), atol=1e-5)
    grey = made[KIND["colorize"]]
    np.testing.assert_allclose(grey, grey[..., :1].repeat(3, -1), atol=1e-6)
    np.testing.assert_allclose(grey @ damage.LUMA, clip[KIND["colorize"]] @ damage.LUMA, atol=1e-5)
    again, _ = damage.suffer(clip, kind, times, seed=0, step=4)
    assert np.abs(again - made).max() > 0.01, "each step its own"


def test_holes_stand_or_move_and_are_boxes_or_strokes():
    times = np.tile(np.arange(-2, 3, dtype="float32"), (200, 1))
    number = RNG.uniform(size=(200, 27)).astype("float32")
    made = ops.convert_to_numpy(damage.holes(number, times, 64, 64))[..., 0]
    thin = number[:, 0] < 0.5
    moves = (made[:, :1] != made).any(axis=(1, 2, 3))
    assert 0.2 < moves.mean() < 0.6 and made.min() == 0 and made.max() == 1
    boxes = [len(ndimage.find_objects(ndimage.label(hole)[0])) for hole in made[~thin, 2]]
    assert max(boxes) == 1 and made[thin, 2].mean() < 0.15 < made[~thin, 2].max(axis=(1, 2)).mean()


# -- motion --------------------------------------------------------------------------------


def test_motion_to_every_frame_is_that_of_the_camera():
    batch = next(iter(data.clips("cifar10", "validation", frames=7, batch_size=4, flow=True)))
    clip, found = ops.cast(batch["clip"], "float32"), motions(batch["flow"], 3)
    assert found.shape == (4, 7, 32, 32, 2)
    np.testing.assert_array_equal(found[:, 3], np.zeros((4, 32, 32, 2)))
    np.testing.assert_allclose(found[:, 4], batch["flow"][:, 3])
    for t in (0, 2, 6):
        fetched, inside = warp(clip[:, t], found[:, t])
        inside = ops.convert_to_numpy(inside)
        apart, before = (
            np.abs(ops.convert_to_numpy(x - clip[:, 3])) for x in (fetched, clip[:, t])
        )
        assert apart[inside].mean() < 0.5 * before[inside].mean()


def test_neighbours_are_fetched_to_where_the_frame_has_them():
    """An aligner that has learned nothing leaves what fits where it is."""
    layer = Aligner(2, (4, 4, 4), (1, 1, 1))
    frame = with_known(smooth(1, 1, 16, 16, 3))[:, 0]
    near = np.stack([frame, frame], axis=1)
    offsets, style = np.array([[-1, 1]], "float32"), np.zeros((1, 3), "float32")
    fetched, motion = layer(frame, near, offsets, style)
    assert fetched.shape == (1, 16, 16, 8)
    np.testing.assert_allclose(motion, np.zeros((1, 16, 16, 4)), atol=1e-6)
    np.testing.assert_allclose(fetched[..., :4], near[:, 0], atol=1e-5)
    np.testing.assert_allclose(fetched[..., 4:], near[:, 1], atol=1e-5)
    moved = np.zeros((1, 16, 16, 4), "float32") + [2, 1, 0, -3]
    near = with_known(smooth(1, 2, 16, 16, 3))
    for sharp in (False, True):
        found = fetch(near[0], moved.astype("float32"), 2, sharp=sharp)
        np.testing.assert_allclose(found[0, 4:10, 4:10], near[0, 0, 5:11, 6:12], atol=1e-5)
        np.testing.assert_allclose(found[1, 4:10, 4:10], near[0, 1, 1:7, 4:10], atol=1e-5)


def with_known(clip: np.ndarray) -> np.ndarray:
    """All of it."""
    return np.concatenate([2 * clip - 1, np.ones_like(clip[..., :1])], axis=-1)


@pytest.mark.parametrize("unknown", [False, True])
def test_the_last_of_a_motion_is_found_without_learning(unknown):
    """Beside a frame that moved by less than two pixels, or between two that did."""
    clip, moves = with_known(smooth(1, 1, 48, 56, 3))[0, 0], ((0.8, -0.5), (-0.8, 0.5))
    near = np.stack([ndimage.shift(clip, (y, x, 0), order=3, mode="nearest") for x, y in moves])
    near[..., 3] = 1
    frame = clip[None] * (not unknown)
    offsets = np.array([[-1, 1]], "float32")
    still = np.zeros((1, 48, 56, 4), "float32")
    motion = ops.convert_to_numpy(registered(frame, near, still, offsets))
    truth = np.ravel(moves)
    inner = np.s_[:, 8:-8, 8:-8]
    assert np.abs(motion - truth)[inner].mean() < 0.25 * np.abs(truth).mean()
    sharp, blunt = (
        np.abs(ops.convert_to_numpy(fetch(near, motion, 2, sharp=sharp)) - clip)[inner].mean()
        for sharp in (True, False)
    )
    before = np.abs(near - clip)[inner].mean()
    assert sharp < blunt < 0.25 * before


def test_a_sharp_lookup_is_that_of_a_spline_between_pixels():
    """Beside Catmull and Rom's, in SciPy as Hermite's with the slopes of neighbours."""
    line = RNG.uniform(size=12).astype("float32")
    slopes = (line[2:] - line[:-2]) / 2
    wanted = CubicHermiteSpline(np.arange(1, 11), line[1:-1], slopes)
    flow = np.zeros((1, 3, 12, 2), "float32")
    flow[..., 0] = 0.37
    frames = np.broadcast_to(line[None, None, :, None], (1, 3, 12, 1)).astype("float32")
    found = ops.convert_to_numpy(warp(frames, flow, "cubic")[0])[0, 1, 1:10, 0]
    np.testing.assert_allclose(found, wanted(np.arange(1, 10) + 0.37), atol=1e-5)


def test_the_motion_is_learned_where_the_flow_is_known():
    model = build("restorer")
    batch = next(iter(data.clips("cifar10", frames=13, size=16, batch_size=8, flow=True)))
    with tf.GradientTape() as tape:
        with_flow = model.compute_loss(batch)
    model.noise_step.assign(0)
    without = model.compute_loss({"clip": batch["clip"]})
    assert float(with_flow) > float(without)
    tracked = {m.name: float(m.result()) for m in model.trackers}
    assert tracked["motion_error"] > 0 and np.isfinite(tracked["psnr"])
    heads = [conv.kernel for conv in model.aligner.leave]
    assert all(np.abs(g).max() > 0 for g in tape.gradient(with_flow, heads))


# -- tasks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, options, shape",
    [
        ("restore", {}, (4, 12, 20, 3)),
        ("superresolve", {"factor": 2}, (4, 24, 40, 3)),
        ("superresolve", {"factor": 4}, (4, 48, 80, 3)),
        ("colorize", {}, (4, 12, 20, 3)),
        ("interpolate", {"factor": 2}, (7, 12, 20, 3)),
        ("interpolate", {"factor": 4}, (13, 12, 20, 3)),
    ],
)
def test_an_edit_takes_any_size_and_does_not_depend_on_the_batch(model, method, options, shape):
    made = model.edit(CLIP, method=method, **options)
    assert made.dtype == np.uint8 and made.shape == shape and np.ptp(made) > 10
    both = model.edit(np.stack([CLIP[::-1], CLIP]), method=method, batch_size=3, **options)
    assert both.shape == (2, *shape)
    assert np.abs(both[1].astype(int) - made).max() <= 1
    floats = model.edit((CLIP / 255).astype("float32"), method=method, **options)
    np.testing.assert_array_equal(floats, made)
    tensors = model.edited((CLIP[None] / 255).astype("float32"), method, **options)
    near = 4 if options.get("factor") == 4 and method == "interpolate" else 1  # two roundings
    assert np.abs(255 * ops.convert_to_numpy(tensors)[0] - made).max() <= near


def test_what_is_known_stays(model):
    hole = np.zeros((12, 20), bool)
    hole[3:7, 5:14] = True
    made = model.inpaint(CLIP, hole)
    np.testing.assert_array_equal(made[:, ~hole], CLIP[:, ~hole])
    assert (made[:, hole] != CLIP[:, hole]).any()
    other = CLIP.copy()
    other[:, hole] = 0
    np.testing.assert_array_equal(model.inpaint(other, hole), made, "what is in the hole is unseen")
    moving = np.zeros((4, 12, 20), bool)
    moving[1, :4, :4] = moving[2, 2:6, 2:6] = True
    made = model.edit(CLIP, method="inpaint", mask=moving)
    np.testing.assert_array_equal(made[~moving], CLIP[~moving])
    np.testing.assert_array_equal(model.interpolate(CLIP, 4)[::4], CLIP)
    grey = np.repeat(CLIP[..., :1], 3, axis=-1)
    made = model.restored(*_one(grey, KIND["colorize"]))[0]
    luma = ops.convert_to_numpy(made)[0, :12, :20] @ damage.LUMA
    np.testing.assert_allclose(luma, grey[0, ..., 0] / 255, atol=1e-5)


def _one(clip: np.ndarray, kind: int) -> tuple:
    """The first frame of a clip and what follows it, as the network takes them."""
    clip = np.pad(clip / 255, ((0, 0), (0, 4), (0, 4), (0, 0)), mode="edge")[:, :16, :24]
    seen = np.concatenate([clip, np.ones_like(clip[..., :1])], axis=-1).astype("float32")
    near = np.stack([seen[0] * 0, seen[0] * 0, seen[1], seen[2]])
    offsets = np.array([[-2, -1, 1, 2]], "float32")
    return seen[:1], near[None], offsets, np.array([kind], "int32")


def test_grey_clips_stay_grey_but_where_they_are_coloured(model):
    grey = CLIP[..., :1]
    assert model.edit(grey, method="restore").shape == (4, 12, 20, 1)
    assert model.edit(grey, method="superresolve", factor=2).shape == (4, 24, 40, 1)
    assert model.edit(grey, method="colorize").shape == (4, 12, 20, 3)
    made = model.edit(grey.repeat(3, -1), method="restore")
    np.testing.assert_array_equal(made, made[..., :1].repeat(3, -1))


def test_a_frame_is_made_of_two_before_and_two_behind(model):
    clip = RNG.integers(0, 256, (9, 16, 16, 3), "uint8")
    made = model.edit(clip, method="restore").astype(int)
    for t in (0, 4, 8):
        changed = clip.copy()
        changed[t] = 255 - changed[t]
        differ = np.abs(model.edit(changed, method="restore") - made).max(axis=(1, 2, 3)) > 1
        assert set(np.flatnonzero(differ)) <= set(range(t - 2, t + 3)) and differ[t]


@pytest.mark.parametrize("height, width, tile", [(100, 96, 96), (300, 130, 128), (97, 256, 96)])
def test_tiles_leave_no_seam(height, width, tile):
    """What a network of small reach makes is the same in tiles as in one piece."""
    frame = RNG.uniform(size=(2, height, width, 4)).astype("float32")
    near = RNG.uniform(size=(2, 4, height, width, 4)).astype("float32")
    sizes = set()

    def run(frame, near):
        sizes.add(frame.shape[1:3])
        x = frame[..., :3] + near[:, 0, ..., :3]
        return ndimage.uniform_filter(x, (0, 5, 5, 0), mode="nearest")

    made = in_tiles(run, frame, near, tile)
    whole = run(frame, near)
    assert made.shape == whole.shape and len(sizes - {(height, width)}) == 1
    # Between tiles what their own borders make counts too, but never more than its share.
    assert np.abs(made - whole).max() < 0.2
    inner = np.abs(made - whole)[:, 4:-4, 4:-4].mean()
    assert inner < 2e-3
    constant = in_tiles(lambda f, n: f[..., :3], frame, near, tile)
    np.testing.assert_allclose(constant, frame[..., :3], atol=1e-6)


@pytest.mark.parametrize(
    "options, wrong",
    [
        ({"method": "sharpen"}, "method must be one of restore"),
        ({"method": "superresolve", "factor": 3}, "factor must be 2 or 4, not 3"),
        ({"method": "inpaint"}, "inpaint wants a mask"),
        ({"mask": np.ones((12, 20), bool)}, "restore has no use for a mask"),
        ({"method": "inpaint", "mask": np.ones((3, 3), bool)}, "a mask of shape"),
        ({"tile": 100}, "tile must be a multiple of 8"),
        ({"tile": 64}, "tile must be a multiple of 8"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_bad_arguments_get_one_line(model, options, wrong):
    with pytest.raises(VgzooError, match=wrong) as caught:
        model.edit(CLIP, **options)
    assert "\n" not in str(caught.value)


def test_what_other_models_take_is_refused_or_does_nothing(model):
    made = model.interpolate(CLIP, 2, seed=3, temperature=0.5)
    np.testing.assert_array_equal(made, model.interpolate(CLIP, 2))
    with pytest.raises(VgzooError, match="has no use for labels"):
        model.interpolate(CLIP, 2, labels=[1, 2])
    with pytest.raises(VgzooError, match="two frames or more"):
        model.interpolate(CLIP[:1], 2)
    with pytest.raises(VgzooError, match="does not generate"):
        model.generate(1)
    with pytest.raises(VgzooError, match="13 frames"):
        Restorer(frames=5)
    with pytest.raises(VgzooError, match="multiples of 8"):
        Restorer(height=20)
    assert set(METHODS) == set(model.tasks)


# -- fine-tuning ---------------------------------------------------------------------------


def test_bundled_weights_are_fine_tuned_to_a_folder_of_videos(tmp_path):
    """What finds the motion frozen, which stays as it is."""
    model = hub.load("restorer-imagenette")
    known, unseen = (write_films(tmp_path / str(i), 12, seed=i, frames=13) for i in (0, 1))
    options = {"frames": 13, "size": 32, "batch_size": 4, "channels": 3}
    held = [np.asarray(batch["clip"]) for batch in data.clips(unseen, **options)]
    held = np.concatenate(held)[:8]

    def error() -> float:
        losses = []
        for step in range(6):  # the same tasks and damage each time
            model.noise_step.assign(step)
            losses.append(float(model.compute_loss(held)))
        return np.mean(losses)

    before = error()
    fine_tune(model, [model.aligner], data.clips(known, count=288, **options | {"batch_size": 12}))
    assert error() < before - 0.1

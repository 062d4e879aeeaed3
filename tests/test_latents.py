"""Latents of clips: found again, mixed, moved."""

from pathlib import Path

import numpy as np
import pytest
from every import kept

import vgzoo
from vgzoo import cli, hub, video
from vgzoo.edit import latent
from vgzoo.errors import VgzooError
from vgzoo.metrics.evaluate import evaluate
from vgzoo.metrics.generation import real_clips
from vgzoo.models import _latents

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=["r3gan", "mocogan"])
def gan(request):
    return kept(request.param)


@pytest.fixture(scope="module")
def digits():
    return vgzoo.load("r3gan-mnist")


def latents_of(model, count: int) -> np.ndarray:
    return RNG.normal(size=(count, *model.noise_shape(model.frames))).astype("float32")


def test_latents_of_real_clips_are_found(digits, monkeypatch):
    """Nearer than the best of the draws that the descent begins with, and the same each time."""
    real = real_clips("mnist", 2, frames=8, seed=1)
    error = [
        np.square(
            digits.decode(digits.invert(real[0], steps=steps), 8) / 255 - real[0] / 255
        ).mean()
        for steps in (1, 60)
    ]
    assert error[1] < 0.75 * error[0]
    monkeypatch.setattr(_latents, "_TRIES", 32)  # any will do to be the same each time
    found = digits.invert(real[0], steps=1)  # more would make rounding greater, step by step
    assert found.shape == digits.noise_shape(8)
    both = digits.decode([found, digits.invert(real, steps=1, batch_size=2)[0]], 8)
    assert np.abs(both[0].astype(int) - both[1]).mean() < 0.5
    assert (digits.invert(real[0], steps=1, seed=1) != found).any()


def test_latents_decode_to_what_is_generated(gan):
    clips = gan.generate(2, seed=3)
    latents = vgzoo.random.normal_rows(3, 0, 2, gan.noise_shape(gan.frames))
    assert np.abs(gan.decode(latents).astype(int) - clips).max() <= 1
    assert np.abs(gan.decode(latents[1]).astype(int) - clips[1]).max() <= 1


def test_the_parts_of_a_latent_are_all_of_it(gan):
    parts = gan.latent_parts(gan.frames)
    together = np.sort(np.concatenate([part.ravel() for part in parts.values()]))
    np.testing.assert_array_equal(together, np.arange(*gan.noise_shape(gan.frames)))
    first, second = latents_of(gan, 2)
    mixed = latent.swap(gan, first, second)
    np.testing.assert_array_equal(mixed[parts["content"]], first[parts["content"]])
    np.testing.assert_array_equal(mixed[parts["motion"]], second[parts["motion"]])
    many = latent.swap(gan, first, latents_of(gan, 3))
    assert many.shape == (3, *first.shape)


def test_motion_moves_a_sprite_that_content_draws():
    model = kept("r3gan")
    parts, (first, second) = model.latent_parts(model.frames), latents_of(model, 2)
    size = model.content + model.motion
    paths, sprites = [], []
    for latents in (first, second, latent.swap(model, first, second)):
        each = latents.reshape(-1, size)
        sprites.append(np.asarray(model.generator._draw(each[:, : model.content])))
        paths.append(np.asarray(model.generator.trajectory(each[:, model.content :], frames=4)))
    np.testing.assert_array_equal(sprites[2], sprites[0])
    np.testing.assert_array_equal(paths[2], paths[1])
    assert np.abs(paths[0] - paths[1]).max() > 0 and np.abs(sprites[0] - sprites[1]).max() > 0
    assert len(parts["content"]) == model.objects


def test_the_first_direction_is_amplified_most(gan):
    weights = gan.content_weights()
    found = gan.directions(len(weights))
    np.testing.assert_allclose(found @ found.T, np.eye(len(weights)), atol=1e-5)
    gains = np.linalg.norm(found @ weights, axis=1)
    assert (np.diff(gains) <= 1e-5).all()
    np.testing.assert_allclose(gains[0], np.linalg.norm(weights, 2), rtol=1e-4)
    np.testing.assert_array_equal(gan.directions(2), found[:2])


def test_a_direction_moves_the_content_of_one_thing(gan):
    latents, way = latents_of(gan, 2), gan.directions(1)[0]
    where = gan.latent_parts(gan.frames)["content"][0]
    moved = latent.move(gan, latents, way, 0.5)
    length = np.linalg.norm(latents[:, where], axis=1, keepdims=True)
    np.testing.assert_allclose(moved[:, where], latents[:, where] + 0.5 * length * way, atol=1e-5)
    moved[:, where] = latents[:, where]
    np.testing.assert_array_equal(moved, latents)


def test_between_two_latents_lies_a_great_circle():
    first, last = RNG.normal(size=(2, 3, 5)).astype("float32")
    way = latent.between(first, last, 5)
    np.testing.assert_allclose(way[[0, -1]], [first, last], atol=1e-5)
    units = way.reshape(5, -1) / np.linalg.norm(way.reshape(5, -1), axis=1, keepdims=True)
    angles = np.arccos(np.clip((units[1:] * units[:-1]).sum(axis=1), -1, 1))
    sphere = latent.between(first / np.linalg.norm(first), last / np.linalg.norm(last), 5)
    np.testing.assert_allclose(np.linalg.norm(sphere.reshape(5, -1), axis=1), 1, atol=1e-5)
    assert angles.min() > 0
    straight = latent.between(first, last, 3, spherical=False)
    np.testing.assert_allclose(straight[1], (first + last) / 2, atol=1e-6)
    np.testing.assert_allclose(latent.between(first, first, 3)[1], first, atol=1e-5)


@pytest.mark.parametrize(
    "name, frames, off", [("tarflow-mnist-stills", 1, 0.1), ("causalvae-imagenette", 5, 12)]
)
def test_flows_and_autoencoders_have_latents_too(name, frames, off):
    model = vgzoo.load(name)
    dataset = name.partition("-")[2]
    real = vgzoo.data.clips(dataset, "test", frames=frames, size=model.height, batch_size=2)
    clips = np.asarray(next(iter(real))["clip"])
    way = latent.between(*latent.encode(model, clips), 3, spherical=model.arch == "tarflow")
    made = model.decode(way)
    assert made.shape == (3, *clips.shape[1:])
    assert np.abs(made[::2].astype(int) - clips).mean() < off
    assert min(np.abs(made[1].astype(int) - each).mean() for each in clips) > 5


def test_inversion_is_judged_beside_what_it_begins_with(tmp_path, monkeypatch):
    model = kept("r3gan")
    hub.save(model, tmp_path / "tiny", dataset="mnist", fps=8)
    monkeypatch.chdir(tmp_path)
    report = evaluate("./tiny", protocol="inversion-mnist", n=2, write=False)
    floors = report["floors"]
    assert list(floors) == ["nearest draw", "black", "clips of its own"]
    assert report["metrics"]["psnr"] > floors["nearest draw"]["psnr"]
    assert floors["clips of its own"]["psnr"] > report["metrics"]["psnr"]


@pytest.fixture(scope="module")
def pair():
    return kept("r3gan")


@pytest.fixture
def two_clips(pair, tmp_path, monkeypatch) -> np.ndarray:
    """Files of two clips, and a folder of the model, in the folder that is worked in."""
    hub.save(pair, tmp_path / "tiny", dataset="mnist", fps=8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_latents, "_TRIES", 32)
    clips = pair.generate(2, seed=3)
    for name, clip in zip(("a.webp", "b.webp"), clips, strict=True):
        video.write(name, clip, fps=8)
    return clips


@pytest.mark.parametrize(
    "words, change",
    [
        ("a.webp", lambda gan, z: z[:1]),
        ("a.webp b.webp -n 3", lambda gan, z: latent.between(z[0], z[1], 3)),
        ("a.webp b.webp --change swap", lambda gan, z: latent.swap(gan, z[:1], z[1:])),
        (
            "a.webp --change move --direction 1 --strength -0.5 --thing 1",
            lambda gan, z: latent.move(gan, z[:1], gan.directions(2)[1], -0.5, thing=1),
        ),
    ],
)
def test_the_command_writes_what_the_api_makes(pair, two_clips, words, change, capsys):
    words = ["latent", "./tiny", *words.split(), "--steps", "2", "--seed", "4", "--out", "out.webp"]
    assert cli.main(words) == 0, capsys.readouterr().err
    count = words.count("b.webp") + 1
    wanted = pair.decode(change(pair, pair.invert(two_clips[:count], steps=2, seed=4)))
    video.write("wanted.webp", wanted, fps=8)
    made, wanted = (video.read(name).astype(int) for name in ("out.webp", "wanted.webp"))
    assert made.shape == wanted.shape and np.abs(made - wanted).mean() < 1


@pytest.mark.parametrize(
    "words, wrong",
    [
        ("a.webp --change swap", "wants another clip"),
        ("a.webp b.webp --change move", "has no use for another clip"),
        ("a.webp --change turn", "--change must be between, swap, move"),
        ("nowhere.gif", "no such file: nowhere.gif"),
        ("a.webp short.webp", "cut one of them"),
        ("a.webp --change move --direction 99 --steps 1", "count must be 1"),
    ],
)
def test_mistakes_of_the_command_get_one_line(two_clips, words, wrong, capsys):
    video.write("short.webp", two_clips[0, :3], fps=8)
    assert cli.main(["latent", "./tiny", *words.split()]) == 2
    said = capsys.readouterr().err
    assert wrong in said and said.count("\n") == 1
    assert not Path("latent.gif").exists()


def test_mistakes_get_one_line(gan):
    latents = latents_of(gan, 2)
    reader = kept("svg")
    for wrong, message in (
        (lambda: gan.decode(latents[:, 1:]), "latents of shape"),
        (lambda: gan.directions(0), "count must be 1 …"),
        (lambda: gan.invert(np.zeros((2, *gan.clip_spec.values()), "uint8"), steps=0), "steps"),
        (lambda: latent.between(latents[0], latents[0, 1:], 3), "two shapes"),
        (lambda: latent.between(latents[0], latents[1], 1), "at least 2"),
        (lambda: latent.swap(reader, latents, latents), "not made of content and motion"),
        (lambda: latent.move(gan, latents, np.zeros(3), 1.0), "a direction has"),
        (lambda: latent.move(gan, latents, np.zeros(3), 1.0, thing=9), "thing must be 0 …"),
        (lambda: latent.encode(reader, np.zeros((4, 8, 8, 1), "uint8")), "no way from clips"),
    ):
        with pytest.raises(VgzooError, match=message):
            wrong()

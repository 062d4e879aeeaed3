"""Bits and nats against closed forms; codecs against their own decoders."""

import av
import numpy as np
import pytest

from vgzoo import metrics, random
from vgzoo.errors import VgzooError, VideoError
from vgzoo.metrics import codecs


def _bytes(shape: tuple[int, ...] = (3, 2, 5, 4, 1), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


# -- dequantisation ----------------------------------------------------------------------------


def test_every_level_stays_strictly_in_its_own_width_and_can_be_read_back():
    clips = np.resize(np.arange(256, dtype="uint8"), (40, 4, 16, 16, 3))
    noisy = metrics.dequantise(clips, seed=1)
    assert noisy.dtype == np.float32 and noisy.shape == clips.shape
    assert noisy.min() > -1 and noisy.max() < 1
    np.testing.assert_array_equal(np.floor((noisy.astype("float64") + 1) * 128), clips)


@pytest.mark.parametrize("draw", [0.0, 1 - 2**-53])
def test_not_even_the_least_and_the_greatest_draw_leave_a_level(draw, monkeypatch):
    monkeypatch.setattr(random, "uniform_rows", lambda seed, start, *shape: np.full(shape, draw))
    levels = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    noisy = metrics.dequantise(levels).astype("float64")
    assert ((levels / 128 - 1 < noisy) & (noisy < (levels + 1.0) / 128 - 1)).all()


def test_the_noise_is_uniform():
    noise = (metrics.dequantise(np.zeros((20, 4, 16, 16, 3), "uint8")).astype("float64") + 1) * 128
    assert noise.mean() == pytest.approx(1 / 2, abs=0.01)
    assert noise.var() == pytest.approx(1 / 12, abs=0.002)


def test_the_noise_of_a_clip_does_not_depend_on_its_batch():
    clips = _bytes((6, 2, 5, 4, 1))
    whole = metrics.dequantise(clips, seed=2)
    np.testing.assert_array_equal(metrics.dequantise(clips[2:5], seed=2, start=2), whole[2:5])
    np.testing.assert_array_equal(metrics.dequantise(clips[4], seed=2, start=4), whole[4])
    assert not np.array_equal(metrics.dequantise(clips, seed=3), whole)
    np.testing.assert_array_equal(metrics.dequantise(clips / 255, seed=2), whole)


def test_networks_clips_are_refused_with_the_way_out():
    with pytest.raises(VideoError, match=r"pass \(clips \+ 1\) / 2"):
        metrics.dequantise(_bytes() / 127.5 - 1)


# -- bits and nats -----------------------------------------------------------------------------


def test_a_model_that_knows_the_levels_distribution_needs_its_entropy():
    chances = np.array([0.5, 0.25, 0.125, 0.125])  # 1.75 bits
    clips = np.repeat([0, 1, 2, 3], (32, 16, 8, 8)).astype("uint8").reshape(1, 4, 4, 4, 1)
    noisy = metrics.dequantise(clips)
    # A histogram: its density is constant over each level's width of 1/128.
    log_density = np.log(chances[np.floor((noisy + 1) * 128).astype(int)] * 128)
    assert metrics.BitsPerDim()(log_density.sum(), clips.size) == pytest.approx(1.75, abs=1e-12)
    log_chance = np.log(chances[clips]).sum()
    assert metrics.BitsPerDim(level=1)(log_chance, clips.size) == pytest.approx(1.75, abs=1e-12)


def test_a_smooth_density_bounds_the_probability_of_the_levels_from_above_in_bits():
    clips = np.clip(np.random.default_rng(0).normal(128, 30, (8, 4, 8, 8, 1)), 0, 255)
    clips = clips.astype("uint8")
    scale = 30 / 128  # logistic, in [-1, 1], centred

    def log_density(y):
        return -y / scale - np.log(scale) - 2 * np.log1p(np.exp(-y / scale))

    def chance(y):
        return 1 / (1 + np.exp(-y / scale))

    low = clips / 128 - 1
    exact = np.log(chance(low + 1 / 128) - chance(low)).sum(axis=(1, 2, 3, 4))
    size = clips[0].size
    wanted = metrics.BitsPerDim(level=1)(exact, size)
    noisy = log_density(metrics.dequantise(clips).astype("float64")).sum(axis=(1, 2, 3, 4))
    bound = metrics.BitsPerDim()(noisy, size)
    assert wanted <= bound + 1e-3 and bound == pytest.approx(wanted, abs=0.01)


def test_bits_in_the_unit_range_take_their_own_level():
    # The same model in [0, 1] has twice the density on each axis.
    log_prob, size = np.array([-300.0, -450.0]), 100
    network = metrics.BitsPerDim()(log_prob, size)
    unit = metrics.BitsPerDim(level=1 / 256)(log_prob + size * np.log(2), size)
    assert unit == pytest.approx(network, rel=1e-12)


def test_nats_per_frame_of_a_bernoulli_model():
    rng = np.random.default_rng(0)
    chance, pixels = rng.random((3, 10, 8, 8, 1)), rng.random((3, 10, 8, 8, 1)) > 0.5
    log_prob = np.log(np.where(pixels, chance, 1 - chance))
    got = metrics.NatsPerFrame()(log_prob.sum(axis=(1, 2, 3, 4)), frames=10)
    assert got == pytest.approx(-log_prob.sum(axis=(2, 3, 4)).mean(), rel=1e-12)


@pytest.mark.parametrize("metric", [metrics.BitsPerDim(), metrics.NatsPerFrame()])
def test_a_likelihood_does_not_depend_on_the_batch_and_comes_back_from_its_configuration(metric):
    log_prob = np.random.default_rng(0).normal(-1000, 100, 7)
    metric.reset_state()
    whole = metric(log_prob, 20)
    assert type(whole) is float
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    for part in (log_prob[:3], log_prob[3], log_prob[4:]):
        again.update_state(part, 20)
    assert again.result() == pytest.approx(whole, rel=1e-12)
    again.reset_state()
    with pytest.raises(VgzooError, match="has seen no clips"):
        again.result()


@pytest.mark.parametrize("metric", [metrics.BitsPerDim(), metrics.NatsPerFrame()])
def test_bad_log_probabilities_are_told_in_one_line(metric):
    metric.reset_state()
    for log_prob, size, words in (
        ([-1.0, np.nan], 20, "NaN for clip 1"),
        (np.zeros((2, 3)), 20, r"shape \(2, 3\) came"),
        ([], 20, r"shape \(0,\) came"),
        ("much", 20, "no numbers"),
        ([-1.0], 0, "at least 1, not 0"),
        ([-1.0], 2.5, "at least 1, not 2.5"),
    ):
        with pytest.raises(VgzooError, match=words) as error:
            metric.update_state(log_prob, size)
        assert "\n" not in str(error.value)
    assert metric.count == 0
    assert metric([-np.inf], 20) == np.inf  # a clip that the model holds to be impossible


def test_a_level_without_width_is_refused():
    with pytest.raises(VgzooError, match="level must be a width above 0"):
        metrics.BitsPerDim(level=0)


# -- codecs ------------------------------------------------------------------------------------


def _moving(channels: int, height: int = 32, width: int = 32, frames: int = 6) -> np.ndarray:
    """A textured square that crosses a black frame."""
    square = _bytes((9, 9, channels), seed=4)
    clip = np.zeros((frames, height, width, channels), "uint8")
    for t in range(frames):
        clip[t, 2:11, t : t + 9] = square[: height - 2, : width - t]
    return clip


def _decoded(packets: list[bytes], codec: str, shape: tuple[int, ...]) -> np.ndarray:
    """What ffmpeg's decoder makes of the packets, told the size and nothing else."""
    _, height, width, channels = shape
    context = av.CodecContext.create({"ffv1": "ffv1", "x264": "h264"}[codec], "r")
    context.width, context.height = width, height
    frames = [f for p in packets for f in context.decode(av.Packet(p))] + context.decode(None)
    if channels == 3:
        return np.stack([f.to_ndarray(format="rgb24") for f in frames])
    # ffmpeg gives H.264 without colours a grey chroma of its own; the pixels are the first plane.
    rows = [np.frombuffer(f.planes[0], "uint8").reshape(-1, f.planes[0].line_size) for f in frames]
    return np.stack([r[:height, :width] for r in rows])[..., None]


@pytest.mark.parametrize("codec", ["ffv1", "x264"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("content", ["moving", "noise", "odd", "one frame"])
def test_the_packets_that_are_counted_give_the_clip_back_exactly(codec, channels, content):
    clip = {
        "moving": lambda: _moving(channels),
        "noise": lambda: _bytes((4, 32, 32, channels)),
        "odd": lambda: _moving(channels, 21, 19),
        "one frame": lambda: _moving(channels, frames=1),
    }[content]()
    packets = codecs.encode(clip, codec)
    np.testing.assert_array_equal(_decoded(packets, codec, clip.shape), clip)
    bits = metrics.CodecBitsPerDim(codec)(clip)
    assert bits == pytest.approx(8 * sum(map(len, packets)) / clip.size, rel=1e-12)


@pytest.mark.parametrize("codec", ["ffv1", "x264"])
def test_a_codec_gains_on_order_and_not_on_noise(codec):
    still, moving = np.repeat(_moving(1, frames=1), 6, axis=0), _moving(1)
    bits = [metrics.CodecBitsPerDim(codec)(clip) for clip in (still * 0, still, moving)]
    assert bits[0] < bits[1] and bits[0] < bits[2] < 4
    assert metrics.CodecBitsPerDim(codec)(_bytes((4, 32, 32, 1))) > 8


def test_x264_uses_motion_where_ffv1_cannot():
    clip = _moving(1, frames=12)
    assert metrics.CodecBitsPerDim("x264")(clip) < 0.7 * metrics.CodecBitsPerDim("ffv1")(clip)


def test_x264_s_note_on_its_settings_is_not_counted():
    packets = b"".join(codecs.encode(_moving(1), "x264"))
    assert b"x264" not in packets
    picture, note = b"\0\0\0\1\x65\x88\0\1", b"\0\0\1\x06\x05x264\0"
    assert codecs.without_notes(picture + note + picture) == picture * 2
    assert codecs.without_notes(note + picture) == picture


@pytest.mark.parametrize("codec", ["ffv1", "x264"])
def test_codec_bits_do_not_depend_on_the_batch_and_come_back_from_their_configuration(codec):
    clips = np.stack([_moving(1), _moving(1)[::-1], _moving(1) // 2])
    metric = metrics.CodecBitsPerDim(codec)
    whole = metric(clips)
    assert type(whole) is float and metric.name == f"{codec}_bits_per_dim"
    again = metrics.CodecBitsPerDim.from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    again.update_state(clips[0])
    again.update_state(clips[1:] / 255)
    assert again.result() == pytest.approx(whole, rel=1e-12)
    again.reset_state()
    with pytest.raises(VgzooError, match="has seen no clips"):
        again.result()


def test_unknown_codecs_and_clips_that_are_none_are_refused():
    with pytest.raises(VgzooError, match="'ffv1' or 'x264'"):
        metrics.CodecBitsPerDim("h265")
    with pytest.raises(VideoError, match="channels"):
        metrics.CodecBitsPerDim()(np.zeros((1, 2, 8, 8, 2), "uint8"))
    with pytest.raises(VgzooError, match="did not take 1 frames of 70000x1") as error:
        metrics.CodecBitsPerDim("x264")(np.zeros((1, 1, 1, 70000, 1), "uint8"))
    assert "\n" not in str(error.value)

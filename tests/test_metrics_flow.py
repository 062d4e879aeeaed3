"""Change along the motion: nothing where a scene just moves, and a NumPy oracle for the rest."""

import keras
import numpy as np
import pytest

from vgzoo import metrics
from vgzoo.errors import VgzooError, VideoError
from vgzoo.layers.warp import warp


def _make():
    return [metrics.WarpError(), metrics.TemporalFlicker()]


every = pytest.mark.parametrize("metric", _make(), ids=lambda m: m.name)
SHIFTS = [(0, 0), (2, 0), (0, -3), (-1, 2)]


def _scene(shifts, size: int = 10, channels: int = 3, seed: int = 0):
    """A textured plane seen through a window: its content moves by `shifts` from frame to frame.

    Returns clip (T, H, W, C), flow (T-1, H, W, 2), visible (T-1, H, W).
    """
    plane = np.random.default_rng(seed).random((60, 60, channels))
    x = y = 30
    frames, flow, visible = [plane[y : y + size, x : x + size]], [], []
    for dx, dy in shifts:
        x, y = x - dx, y - dy  # the window moves one way, its content the other
        frames.append(plane[y : y + size, x : x + size])
        flow.append(np.full((size, size, 2), (dx, dy), "float32"))
        column, row = np.meshgrid(np.arange(size) + dx, np.arange(size) + dy)
        visible.append((0 <= column) & (column < size) & (0 <= row) & (row < size))
    return np.stack(frames), np.stack(flow), np.stack(visible)


def _oracle(clip, flow, visible, power: int) -> float:
    """Pixel by pixel, in float64."""
    pairs = []
    frames, height, width, _ = clip.shape
    for t in range(frames - 1):
        errors = []
        for y in range(height):
            for x in range(width):
                u, v = x + float(flow[t, y, x, 0]), y + float(flow[t, y, x, 1])
                if not visible[t, y, x] or not (0 <= u <= width - 1 and 0 <= v <= height - 1):
                    continue
                i, j = min(int(u), width - 2), min(int(v), height - 2)
                a, b = u - i, v - j
                n = clip[t + 1]
                value = (1 - b) * ((1 - a) * n[j, i] + a * n[j, i + 1])
                value = value + b * ((1 - a) * n[j + 1, i] + a * n[j + 1, i + 1])
                errors.append(np.mean(np.abs(value - clip[t, y, x]) ** power))
        if errors:
            pairs.append(np.mean(errors))
    return float(np.mean(pairs))


def _random(seed: int, batch: int = 3):
    rng = np.random.default_rng(seed)
    clips = rng.random((batch, 4, 7, 9, 3))
    flow = rng.normal(0, 2, (batch, 3, 7, 9, 2)).astype("float32")
    visible = rng.random((batch, 3, 7, 9)) > 0.3
    return clips, flow, visible


@every
@pytest.mark.parametrize("mask", [True, False])
def test_a_scene_that_moves_by_whole_pixels_has_no_error(metric, mask):
    clip, flow, visible = _scene(SHIFTS)
    metric.reset_state()
    # The mask only says what leaving the frame says already.
    assert metric(clip, flow, visible if mask else None) == pytest.approx(0, abs=1e-6)


@every
def test_the_flow_has_a_direction(metric):
    clip, flow, visible = _scene(SHIFTS[1:])
    for wrong in (-flow, flow[..., ::-1], flow * 0):
        metric.reset_state()
        assert metric(clip, wrong, visible) > 0.05


@every
def test_what_is_hidden_does_not_count(metric):
    clip, flow, visible = _scene([(0, 0)] * 3)
    clip[1, 4:6, 4:6] = 0.5  # something passes in front, in one frame
    metric.reset_state()
    assert metric(clip, flow, visible) > 1e-4
    visible[0, 4:6, 4:6] = False
    visible[1, 4:6, 4:6] = False
    metric.reset_state()
    assert metric(clip, flow, visible) == pytest.approx(0, abs=1e-6)


@every
@pytest.mark.parametrize("seed", range(3))
def test_any_flow_gives_what_bilinear_lookup_pixel_by_pixel_gives(metric, seed):
    clips, flow, visible = _random(seed)
    power = 2 if metric.name == "warp_error" else 1
    wanted = [_oracle(*case, power) for case in zip(clips, flow, visible, strict=True)]
    metric.reset_state()
    assert metric(clips, flow, visible) == pytest.approx(np.mean(wanted), abs=1e-5)


def test_half_a_pixel_is_the_mean_of_two():
    clip = np.random.default_rng(0).random((1, 2, 6, 6, 1))
    flow = np.zeros((1, 1, 6, 6, 2), "float32") + (0.5, 0)
    clip[0, 0, :, :-1] = (clip[0, 1, :, :-1] + clip[0, 1, :, 1:]) / 2
    assert metrics.WarpError()(clip, flow) == pytest.approx(0, abs=1e-12)


def test_a_known_brightness_change_gives_its_square_and_its_amount():
    clip, flow, visible = _scene([(1, 0), (0, 1), (-1, -1)])
    clip = clip / 2
    clip[1::2] += 0.25
    assert metrics.WarpError()(clip, flow, visible) == pytest.approx(1 / 16, abs=1e-6)
    assert metrics.TemporalFlicker()(clip, flow, visible) == pytest.approx(1 / 4, abs=1e-6)


def test_flicker_without_flow_is_the_mean_absolute_difference_of_neighbours():
    clips = np.random.default_rng(1).integers(0, 256, (2, 5, 6, 7, 3), "uint8")
    # VBench's score, on 0 to 255, is (255 - this) / 255.
    wanted = np.abs(np.diff(clips.astype("float64"), axis=1)).mean()
    assert metrics.TemporalFlicker()(clips) * 255 == pytest.approx(wanted, rel=1e-12)


@every
def test_a_pair_of_frames_with_nothing_in_common_is_left_out(metric):
    clips, flow, visible = _random(3)
    visible[0] = False  # a whole clip
    visible[1, 0] = False
    power = 2 if metric.name == "warp_error" else 1
    wanted = np.mean([_oracle(clips[i], flow[i], visible[i], power) for i in (1, 2)])
    metric.reset_state()
    assert metric(clips, flow, visible) == pytest.approx(wanted, abs=1e-5)
    metric.reset_state()
    metric.update_state(clips[0], flow[0], visible[0])
    with pytest.raises(VgzooError, match="no clips with anything visible in two frames"):
        metric.result()


@every
def test_the_figure_does_not_depend_on_the_batch(metric):
    clips, flow, visible = _random(4)
    metric.reset_state()
    whole = metric(clips, flow, visible)
    assert type(whole) is float
    metric.reset_state()
    metric.update_state(clips[0], flow[0], visible[0][..., None])  # one clip, a mask with an axis
    metric.update_state(
        clips[1:], keras.ops.convert_to_tensor(flow[1:]), visible[1:].astype("uint8")
    )
    assert metric.result() == pytest.approx(whole, rel=1e-6)
    metric.reset_state()
    assert metric.count == 0


@every
def test_a_metric_comes_back_from_its_configuration(metric):
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    case = _random(5)
    metric.reset_state()
    assert again(*case) == metric(*case)


@every
def test_a_mistake_is_told_in_one_line_and_counts_for_nothing(metric):
    clips, flow, visible = _random(6)
    hole = flow.copy()
    hole[0, 0, 0, 0] = np.nan
    metric.reset_state()
    for case, words in (
        ((clips[:, :1], flow, visible), "a clip of 1 frame came"),
        ((clips, flow[:, :2], visible), r"flow of shape \(3, 2, 7, 9, 2\) came; wanted \(3, 3,"),
        ((clips, flow[..., :1], visible), "flow of shape"),
        ((clips, hole, visible), "NaN or infinite"),
        ((clips, flow, visible[:, :, 1:]), "visibility mask of shape"),
        ((clips, flow, visible * 255), "other values than 0 and 1"),
        ((clips * 2 - 1, flow, visible), r"pass \(clips \+ 1\) / 2"),
        ((clips[0, 0], flow, visible), "wanted"),
    ):
        with pytest.raises((VgzooError, VideoError), match=words) as error:
            metric.update_state(*case)
        assert "\n" not in str(error.value)
    assert metric.count == 0


def test_warp_error_without_flow_says_what_does_without():
    with pytest.raises(VgzooError, match="use TemporalFlicker"):
        metrics.WarpError().update_state(np.zeros((1, 2, 4, 4, 1)), None)


def test_warp_tells_what_left_the_frame_and_repeats_the_border_there():
    frame = keras.ops.convert_to_tensor(np.arange(12, dtype="float32").reshape(1, 3, 4, 1))
    flow = np.zeros((1, 3, 4, 2), "float32")
    flow[..., 0] = 1
    fetched, inside = warp(frame, keras.ops.convert_to_tensor(flow))
    np.testing.assert_array_equal(fetched[0, ..., 0], [[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]])
    np.testing.assert_array_equal(inside[0], [[True, True, True, False]] * 3)

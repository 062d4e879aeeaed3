"""Time: which frames come, in tensors, arrays and streams, and what memory a stream takes."""

import keras
import numpy as np
import pytest

from vgzoo import edit
from vgzoo.edit import time
from vgzoo.errors import VgzooError

# Frame i is all 10 i: levels tell frames and shares between them.
CLIP = np.broadcast_to(np.arange(0, 120, 10, "uint8").reshape(-1, 1, 1, 1), (12, 4, 4, 3)).copy()


def shown(layer: edit.Edit, clip: np.ndarray = CLIP) -> list[float]:
    """The level of each frame, over ten; the same on all three ways."""
    tensor = keras.ops.convert_to_numpy(layer(clip))
    host = layer.host(clip)
    footage = edit.Footage(len(clip), 25, lambda: iter([clip[:5], clip[5:6], clip[6:]]))
    result = layer.stream(footage)
    for _ in range(2):  # a stream can be had again
        streamed = np.concatenate(list(result.chunks()))
        np.testing.assert_array_equal(streamed, host)
    assert result.frames == len(host)
    np.testing.assert_array_equal(tensor, host)
    return (host[:, 0, 0, 0] / 10).tolist()


def test_frames_come_as_asked():
    every = list(range(12))
    assert shown(edit.Trim()) == every
    assert shown(edit.Trim(3, 7)) == [3, 4, 5, 6]
    assert shown(edit.Trim(-2)) == [10, 11]
    assert shown(edit.Reverse()) == every[::-1]
    assert shown(edit.PingPong()) == every + every[10:0:-1]
    assert shown(edit.PingPong(), CLIP[:1]) == [0]
    assert shown(edit.Freeze(2, 3)) == [0, 1, 2, 2, 2, 2, *every[3:]]
    assert shown(edit.Speed(1)) == every and shown(edit.Speed(2)) == every[::2]
    assert shown(edit.Speed(0.5))[:5] == [0, 0.5, 1, 1.5, 2]
    assert shown(edit.Speed(0.5, blend=False))[:5] == [0, 1, 1, 2, 2]
    assert shown(edit.Loop(0)) == every


def test_speed_changes_along_the_clip():
    """Each step is as long as the factor where it begins says."""
    assert shown(edit.Speed([1.0] * 12)) == shown(edit.Speed(1))
    assert shown(edit.Speed([0.5] * 12)) == shown(edit.Speed(0.5))
    ramp = edit.Speed(edit.Keyframes({0: 1, 4: 2}), blend=False)
    places = [0.0]
    while (place := places[-1] + min(1 + places[-1] / 4, 2)) <= 11:
        places.append(place)
    assert shown(ramp) == [np.floor(place + 0.5) for place in places]
    slow = edit.Speed(edit.Keyframes({0: 1, 0.2: 0.5}, easing="hold", unit="seconds"))
    footage = slow.stream(edit.Footage(12, 25, lambda: iter([CLIP])))
    assert footage.frames == 5 + 13 and footage.sound is None
    with pytest.raises(VgzooError, match="speed: factor has 2 values for 12 frames"):
        edit.Speed([1, 2])(CLIP)


def test_another_rate_keeps_the_duration():
    assert shown(edit.Resample(50, 25))[:4] == [0, 0.5, 1, 1.5]
    assert len(shown(edit.Resample(50, 25))) == 24 and len(shown(edit.Resample(10, 30))) == 4
    result = edit.Resample(50).stream(edit.Footage(12, 25, lambda: iter([CLIP])))
    assert result.fps == 50 and result.frames == 24
    with pytest.raises(VgzooError, match="source_fps"):
        edit.Resample(50)(CLIP)


def test_a_loop_ends_where_it_begins():
    """Its last frame is nearly the one before its first."""
    levels = shown(edit.Loop(4))
    assert len(levels) == 8 and levels[:4] == [4, 5, 6, 7]
    np.testing.assert_allclose(
        levels[4:], [8 - 8 / 5, 9 - 16 / 5, 10 - 24 / 5, 11 - 32 / 5], atol=0.06
    )
    with pytest.raises(VgzooError, match="half at most"):
        edit.Loop(7)(CLIP)


def test_reverse_undoes_itself_and_speed_its_inverse():
    np.testing.assert_array_equal(edit.Reverse().host(edit.Reverse().host(CLIP)), CLIP)
    np.testing.assert_array_equal(edit.Speed(2).host(edit.Speed(0.5).host(CLIP)), CLIP)


def test_what_needs_too_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr(time, "_HELD", 5 * CLIP[0].nbytes)
    for small in (edit.Trim(1), edit.Speed(0.3), edit.Freeze(3, 9), edit.Loop(2)):
        shown(small)
    with pytest.raises(VgzooError, match="trim or resize first"):
        shown(edit.Reverse())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: edit.Trim(20)(CLIP),
        lambda: edit.Trim(1.5),
        lambda: edit.Speed(0),
        lambda: edit.Resample(0),
        lambda: edit.Freeze(12)(CLIP),
        lambda: edit.Loop(-1),
    ],
)
def test_mistakes_are_one_line(wrong):
    with pytest.raises(VgzooError) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_keyframes_behind_a_cut_count_from_its_first_frame():
    fade = edit.Brightness(edit.Keyframes({0: 0, 2: 0.2}))
    steps = edit.Sequential([edit.Trim(4, 7), fade])
    clip = np.concatenate([CLIP])
    host = steps.host(clip)
    np.testing.assert_array_equal(host, keras.ops.convert_to_numpy(steps(clip)))
    assert host[:, 0, 0, 0].tolist() == [40, 76, 111] and not steps.keeps_time

"""Clips of a folder of videos: the right frames, in a known order, whatever lies among them."""

import threading
import warnings

import numpy as np
import pytest

from vgzoo import video
from vgzoo.data import folder
from vgzoo.data.folder import Folder
from vgzoo.errors import DataError

SIDE = 8


def film(path, frames: int = 12, *, height: int = SIDE, width: int = SIDE, first: int = 0, fps=10):
    """A film whose frame t is grey `first + 10 t`; lossless in gif and webp."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = (first + 10 * np.arange(frames)).astype("uint8")
    clip = np.broadcast_to(grey[:, None, None, None], (frames, height, width, 3))
    return video.write(path, clip, fps=fps, scale=1)


def starts(source: Folder, count: int | None = None) -> list[int]:
    """The grey of the first frame of each clip."""
    clip, _ = source.draw(0, source.count if count is None else count)
    return clip[:, 0, 0, 0, 0].tolist()


def quiet(*arguments, **options) -> Folder:
    """A `Folder` that must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Folder(*arguments, **{"frames": 4, "size": SIDE, **options})


# -- windows -------------------------------------------------------------------------------


def test_a_pass_has_every_window_once(tmp_path):
    film(tmp_path / "a.webp", 12)
    film(tmp_path / "b.gif", 9, first=120)
    source = quiet(tmp_path)
    assert source.count == 5
    clip, label = source.draw(0, 5)
    assert clip.shape == (5, 4, SIDE, SIDE, 3) and clip.dtype == np.uint8
    assert sorted(clip[:, 0, 0, 0, 0]) == [0, 40, 80, 120, 160]
    np.testing.assert_array_equal(np.diff(clip[..., 0, 0, 0].astype(int), axis=1), 10)
    assert label.dtype == np.int32 and (label == -1).all()


@pytest.mark.parametrize("stride, wanted", [(1, 9), (2, 5), (4, 3), (5, 2), (20, 1)])
def test_stride_lies_between_the_starts_of_windows(tmp_path, stride, wanted):
    film(tmp_path / "a.webp", 12)
    found = starts(quiet(tmp_path, stride=stride))
    assert sorted(found) == [10 * stride * i for i in range(wanted)]


@pytest.mark.parametrize("fps, grey", [(None, [0, 10, 20, 30]), (10, [0, 10, 20, 30]),
                                       (5, [0, 20, 40, 60]), (20, [0, 0, 10, 20])])  # fmt: skip
def test_fps_takes_the_nearest_frame_in_time(tmp_path, fps, grey):
    film(tmp_path / "a.webp", 12, fps=10)
    source = quiet(tmp_path, fps=fps, stride=100)
    np.testing.assert_array_equal(source.draw(0, 1)[0][0, :, 0, 0, 0], grey)


def test_mp4_and_webm_are_read_too(tmp_path):
    film(tmp_path / "a.mp4", 5, height=16, width=16)
    film(tmp_path / "b.webm", 5, height=16, width=16, first=150)
    source = quiet(tmp_path, size=16, stride=9)
    np.testing.assert_allclose(sorted(starts(source)), [0, 150], atol=4)


# -- frames --------------------------------------------------------------------------------


def test_the_shorter_side_is_resized_and_the_middle_of_the_longer_is_taken(tmp_path):
    clip = np.zeros((4, 16, 32, 3), "uint8")
    clip[:, :, 8:24] = 200
    video.write(tmp_path / "a.webp", clip, scale=1)
    drawn, _ = quiet(tmp_path).draw(0, 1)
    assert drawn.shape == (1, 4, SIDE, SIDE, 3)
    assert (drawn[:, :, :, 1:-1] >= 199).all()


def test_a_random_crop_moves_along_the_longer_side_but_not_within_a_clip(tmp_path):
    clip = np.broadcast_to(np.arange(32, dtype="uint8")[None, :, None, None], (40, 32, SIDE, 3))
    video.write(tmp_path / "a.webp", clip, scale=1)
    drawn, _ = quiet(tmp_path, crop="random", stride=1).draw(0, 37)
    top = drawn[:, 0, 0, 0, 0]
    assert top.min() < 4 and top.max() > 20, "from end to end"
    np.testing.assert_array_equal(drawn[:, :, :, 0, 0] - top[:, None, None],
                                  np.broadcast_to(np.arange(SIDE), (37, 4, SIDE)))  # fmt: skip


def test_grey_becomes_colour_and_colour_grey(tmp_path):
    grey = np.full((4, SIDE, SIDE, 1), 90, "uint8")
    video.write(tmp_path / "a.gif", grey, scale=1)
    drawn, _ = quiet(tmp_path).draw(0, 1)
    assert drawn.shape[-1] == 3 and (drawn == 90).all()
    film(tmp_path / "b.webp", 4, first=50)
    drawn, _ = quiet(tmp_path, channels=1).draw(0, 2)
    assert drawn.shape[-1] == 1 and sorted(drawn[:, 0, 0, 0, 0]) == [50, 90]


# -- order ---------------------------------------------------------------------------------


def test_a_clip_depends_on_seed_and_number_alone(tmp_path):
    for i in range(3):
        film(tmp_path / f"{i}.webp", 10, height=12, first=80 * i)
    options = {"stride": 1, "crop": "random", "seed": 5}
    whole, _ = quiet(tmp_path, **options).draw(0, 50)
    source = quiet(tmp_path, **options)
    for first, batch in ((47, 3), (0, 5), (20, 4), (19, 7)):  # 21 windows: over the ends of passes
        np.testing.assert_array_equal(source.draw(first, batch)[0], whole[first : first + batch])
    grey = whole[:, 0, 0, 0, 0]
    assert sorted(grey[:21]) == sorted(grey[21:42]) and list(grey[:21]) != list(grey[21:42])
    assert starts(quiet(tmp_path, **{**options, "seed": 6}))[:21] != list(grey[:21])


def test_what_memory_does_not_hold_is_read_by_groups_of_files_and_still_whole(
    tmp_path, monkeypatch
):
    for i in range(6):
        film(tmp_path / f"{i}.webp", 12, first=20 * i)
    one = 12 * SIDE * SIDE * 3
    all_at_once = starts(quiet(tmp_path, stride=1))
    monkeypatch.setattr(folder, "MEMORY", 2 * one)
    source = quiet(tmp_path, stride=1)
    reads, decode = [], source._decode
    monkeypatch.setattr(source, "_decode", lambda file: reads.append(file) or decode(file))
    assert sorted(starts(source)) == sorted(all_at_once)
    assert len(reads) <= 12, "each file once or, at the border of two groups, twice"
    assert sum(f.size for f in source._kept) <= 2 * one


# -- parts and classes ---------------------------------------------------------------------


def test_subfolders_are_classes(tmp_path):
    film(tmp_path / "walk" / "a.webp", 4, first=10)
    film(tmp_path / "jump" / "x" / "b.webp", 4, first=20)
    film(tmp_path / "c.webp", 4, first=30)
    source = quiet(tmp_path)
    clip, label = source.draw(0, 3)
    assert source.classes == ("jump", "walk")
    assert dict(zip(clip[:, 0, 0, 0, 0].tolist(), label.tolist(), strict=True)) == {
        10: 1, 20: 0, 30: -1
    }  # fmt: skip


def test_parts_share_no_file_and_leave_none_out(tmp_path):
    for i in range(25):
        film(tmp_path / f"{i}.webp", 4, first=i)
    parts = {s: starts(quiet(tmp_path, s)) for s in folder.SPLITS}
    assert [len(p) for p in parts.values()] == [21, 2, 2]
    assert sorted(sum(parts.values(), [])) == list(range(25))


def test_a_folder_divided_already_stays_so(tmp_path):
    film(tmp_path / "train" / "walk" / "a.webp", 4, first=10)
    film(tmp_path / "train" / "jump" / "b.webp", 4, first=20)
    film(tmp_path / "test" / "walk" / "c.webp", 4, first=30)
    clip, label = quiet(tmp_path, "test").draw(0, 1)
    assert clip[0, 0, 0, 0, 0] == 30 and label == [1]
    assert sorted(starts(quiet(tmp_path))) == [10, 20]
    with pytest.raises(DataError, match="no validation clip"):
        quiet(tmp_path, "validation")


# -- what is broken ------------------------------------------------------------------------


def test_broken_files_are_skipped_with_one_warning_each_and_counted(tmp_path):
    good = film(tmp_path / "good.webp", 8)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.gif").write_text("no film")
    (tmp_path / "cut.webp").write_bytes(good.read_bytes()[:-40])
    film(tmp_path / "short.webp", 3)
    (tmp_path / "notes.txt").write_text("is no video and never looked at")
    (tmp_path / ".hidden.mp4").touch()
    with pytest.warns(UserWarning) as caught:
        source = Folder(tmp_path, frames=4, size=SIDE)
    names = sorted(path.name for path, _ in source.skipped)
    assert names == ["cut.webp", "empty.mp4", "short.webp", "text.gif"]
    assert len(caught) == 4 and all("\n" not in str(w.message) for w in caught)
    assert sorted(starts(source)) == [0, 40]


def test_a_file_that_only_decoding_shows_to_be_broken_is_replaced(tmp_path):
    for i in range(4):
        film(tmp_path / f"{i}.webp", 8, first=50 * i)
    source = quiet(tmp_path)
    before = starts(source)
    source = quiet(tmp_path)
    (tmp_path / "2.webp").write_bytes(b"gone")
    with pytest.warns(UserWarning, match="2.webp") as caught:
        after = starts(source)
    assert len(caught) == 1 and [p.name for p, _ in source.skipped] == ["2.webp"]
    assert len(after) == source.count == 8
    kept = [(b, a) for b, a in zip(before, after, strict=True) if b not in (100, 140)]
    assert len(kept) == 6 and all(a == b for b, a in kept)
    assert not {100, 140} & set(after)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        starts(source, 16)  # known by now


def test_when_nothing_can_be_decoded_any_more_one_line_says_so(tmp_path):
    path = film(tmp_path / "a.webp", 8)
    source = quiet(tmp_path)
    path.write_bytes(b"gone")
    with pytest.warns(UserWarning), pytest.raises(DataError, match="none of its 1 files"):
        source.draw(0, 2)


def test_files_are_decoded_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for i in range(2):
        film(tmp_path / f"{i}.webp", 4)
    source, decode = quiet(tmp_path), Folder._decode
    both = threading.Barrier(2, timeout=20)  # breaks unless two are inside at once
    monkeypatch.setattr(source, "_decode", lambda file: both.wait() < 2 and decode(source, file))
    assert starts(source) == [0, 0]


@pytest.mark.parametrize("bad", [
    {"split": "val"}, {"frames": 0}, {"size": 0}, {"stride": 0}, {"stride": 1.5}, {"fps": 0},
    {"crop": "left"}, {"channels": 4}, {"path": "nowhere"}, {"frames": 13},
])  # fmt: skip
def test_bad_arguments_get_one_line(tmp_path, bad):
    film(tmp_path / "a.webp", 12)
    with warnings.catch_warnings(), pytest.raises(DataError) as caught:
        warnings.simplefilter("ignore")
        Folder(**{"path": tmp_path, "frames": 4, "size": SIDE, **bad})
    assert "\n" not in str(caught.value)

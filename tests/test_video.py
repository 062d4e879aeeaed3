"""Clips to files and back: sizes, colours, rates, tiles, parts, notebooks."""

import base64
import doctest
import re
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from films import MOVING, error_of, noise, only_file, run_python, smooth
from PIL import Image

from vgzoo import video
from vgzoo.errors import VideoError

# The mean error of a smooth clip that each format may have, of 255; a grey gif may have none.
ERROR = {".gif": 2, ".webp": 0, ".mp4": 3, ".webm": 3}


# ------------------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("shape", [(2, 5, 6, 3), (4, 2, 5, 6, 1)])
def test_floats_in_0_1_become_uint8_and_keep_their_rank(shape):
    clips = noise(*shape)
    for dtype in ("float16", "float32", "float64"):
        np.testing.assert_array_equal(video.as_uint8((clips / 255).astype(dtype)), clips)
    assert video.as_uint8(clips) is clips


@pytest.mark.parametrize(
    "clips, words",
    [
        (np.zeros((4, 8, 8), np.uint8), "(4, 8, 8)"),
        (np.zeros((1, 1, 4, 8, 8, 3), np.uint8), "(1, 1, 4, 8, 8, 3)"),
        (np.zeros((4, 8, 8, 4), np.uint8), "4 channels"),
        (np.zeros((0, 8, 8, 3), np.uint8), "(0, 8, 8, 3)"),
        (np.zeros((0, 4, 8, 8, 3), np.uint8), "(0, 4, 8, 8, 3)"),
        (np.zeros((4, 8, 8, 1), np.int64), "int64"),
        (np.zeros((4, 8, 8, 1), bool), "bool"),
        (np.full((4, 8, 8, 1), -1.0), "from -1 to -1"),
        (np.linspace(0, 255, 64).reshape(1, 8, 8, 1), "from 0 to 255"),
        (np.full((4, 8, 8, 1), np.nan), "NaN"),
        (np.full((4, 8, 8, 1), np.inf, np.float32), "infinite"),
        ([np.zeros((8, 8, 3)), np.zeros((8, 9, 3))], "list"),
        ("digits.gif", "shape ()"),
        (None, "shape ()"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_line(clips, words):
    with pytest.raises(VideoError) as caught:
        video.as_uint8(clips)
    assert words in str(caught.value) and "wanted" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_importing_it_loads_no_codec():
    code = (
        "import sys, vgzoo.video;"
        "print({'av', 'PIL', 'IPython', 'keras', 'tensorflow'} & set(sys.modules))"
    )
    assert run_python(code).stdout.strip() == "set()"


# ----------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", MOVING)
def test_a_clip_comes_back(tmp_path, suffix, channels):
    clip = smooth(channels=channels)
    path = video.write(tmp_path / f"clip{suffix}", clip, fps=12)
    assert only_file(tmp_path) == path
    stored = video.read(path)
    assert error_of(stored, clip, 5) <= ERROR[suffix]
    grey = channels == 1 and suffix == ".gif"
    assert not grey or error_of(stored, clip, 5) == 0
    assert video.probe(path) == {
        "frames": 6,
        "height": 140,  # 28 enlarged by 5, and not the 32 or 144 of a padding encoder
        "width": 140,
        "fps": 12,
        "channels": 1 if grey else 3,
    } | ({"fps": pytest.approx(12, rel=0.02)} if suffix in (".gif", ".webp") else {})
    assert stored.shape[-1] == (1 if grey else 3) and stored.dtype == np.uint8


@pytest.mark.parametrize("suffix", MOVING)
def test_the_file_is_what_its_content_says_not_its_name(tmp_path, suffix):
    path = video.write(tmp_path / f"clip{suffix}", smooth())
    assert len(video.read(path.rename(tmp_path / "clip.dat"))) == 6


@pytest.mark.parametrize("suffix", MOVING)
@pytest.mark.parametrize("size", [(27, 35), (9, 16), (131, 140), (1, 1)])
def test_odd_sizes_are_stored_as_whole_multiples(tmp_path, suffix, size):
    clip = smooth(3, *size, 3)
    stored = video.read(video.write(tmp_path / f"odd{suffix}", clip))
    scale = stored.shape[1] // size[0]
    assert error_of(stored, clip, scale) <= ERROR[suffix]
    least = -(-128 // min(size))
    assert scale == (least + 1 if suffix == ".mp4" and least % 2 else least)


@pytest.mark.parametrize("suffix", MOVING)
def test_scale_1_keeps_the_size_but_for_the_odd_edge_of_h264(tmp_path, suffix):
    even = video.read(video.write(tmp_path / f"even{suffix}", smooth(), scale=1))
    assert even.shape[1:3] == (28, 28)
    clip = smooth(3, 27, 35, 3)
    stored = video.read(video.write(tmp_path / f"odd{suffix}", clip, scale=1))
    if suffix == ".mp4":
        assert stored.shape == (3, 28, 36, 3)
        clip = np.pad(clip, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    assert error_of(stored, clip, 1) <= ERROR[suffix]


@pytest.mark.parametrize("suffix", MOVING)
def test_one_frame_and_its_rate(tmp_path, suffix):
    path = video.write(tmp_path / f"one{suffix}", smooth(1), fps=8)
    assert len(video.read(path)) == 1
    assert video.probe(path)["frames"] == 1
    assert video.probe(path)["fps"] == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("suffix", MOVING)
def test_frames_that_do_not_change_are_not_dropped(tmp_path, suffix):
    clip = np.repeat(smooth(3), 5, axis=0)
    path = video.write(tmp_path / f"still{suffix}", clip, fps=24)
    assert video.probe(path)["frames"] == len(video.read(path)) == 15
    still = np.repeat(smooth(1), 7, axis=0)
    assert len(video.read(video.write(path, still))) == 7


@pytest.mark.parametrize("fps", [1, 12.5, 23.976, 30000 / 1001, 60])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_video_keeps_its_rate(tmp_path, suffix, fps):
    path = video.write(tmp_path / f"rate{suffix}", smooth(5), fps=fps)
    assert video.probe(path)["fps"] == pytest.approx(fps, rel=1e-6)


@pytest.mark.parametrize("fps", [7, 24, 30, 40, 50])
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_gif_keeps_its_length_and_loops_for_ever(tmp_path, suffix, fps):
    path = video.write(tmp_path / f"rate{suffix}", smooth(50), fps=fps)
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            durations.append(image.info["duration"])
    assert sum(durations) == pytest.approx(1000 * 50 / fps, abs=5)
    assert min(durations) >= 20  # below, browsers play it slowly
    assert len(video.read(path)) == 50
    assert video.probe(path)["fps"] == pytest.approx(fps, rel=0.01)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_are_bt709_and_say_so(tmp_path, suffix):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [9, 99, 199]])
    clip = colours.astype(np.uint8).reshape(1, 5, 1, 3).repeat(64, 1).repeat(256, 2).repeat(3, 0)
    path = video.write(tmp_path / f"colours{suffix}", clip)
    luma = 16 + 219 * (np.array([[0.2126, 0.7152, 0.0722]]) * colours / 255).sum(1)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
        stored = frame.to_ndarray()[32:320:64, 32]
    np.testing.assert_allclose(stored, luma, atol=1.5)
    np.testing.assert_allclose(video.read(path)[1, 32::64, 32], colours, atol=4)


@pytest.mark.parametrize("suffix", MOVING)
def test_black_is_black_and_white_is_white_in_grey(tmp_path, suffix):
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1).repeat(128, 1).repeat(2, 0)
    stored = video.read(video.write(tmp_path / f"ramp{suffix}", ramp))
    np.testing.assert_allclose(stored[0, 64, :, 0], np.arange(256), atol=3)


def test_a_gif_of_many_colours_does_not_flicker(tmp_path):
    clip = np.repeat(noise(1, 40, 40, 3), 8, axis=0)
    clip[:, :, 20:] = noise(8, 40, 20, 3)  # the right half changes, the left must not
    stored = video.read(video.write(tmp_path / "noise.gif", clip, scale=1))
    assert (stored[:, :, :20] == stored[:1, :, :20]).all()
    assert error_of(stored, clip, 1) < 16  # 256 colours for 14,000


def test_a_gif_of_few_colours_is_exact(tmp_path):
    palette = noise(255, 3)
    clip = palette[np.random.default_rng(1).integers(0, 255, (4, 30, 30))]
    stored = video.read(video.write(tmp_path / "few.gif", clip, scale=1))
    np.testing.assert_array_equal(stored, clip)


# -------------------------------------------------------------------------- batches and film strips


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_a_batch_is_a_picture_of_tiles(tmp_path, suffix):
    clips = np.stack([np.full((2, 128, 128, 3), 40 * index, np.uint8) for index in range(1, 6)])
    stored = video.read(video.write(tmp_path / f"tiles{suffix}", clips)).astype(int)
    assert stored.shape == (2, 2 * 128 + 2, 3 * 128 + 4, 3)
    for index in range(5):
        top, left = index // 3 * 130, index % 3 * 130
        assert (
            np.abs(stored[:, top + 9 : top + 119, left + 9 : left + 119] - 40 * (index + 1)).max()
            < 4
        )
    column = video.read(video.write(tmp_path / f"column{suffix}", clips, columns=1))
    assert column.shape[1:3] == (5 * 128 + 8, 128)


def test_a_batch_of_odd_clips_fits_h264(tmp_path):
    stored = video.read(
        video.write(tmp_path / "odd.mp4", np.stack([smooth(2, 27, 43)] * 3), columns=3)
    )
    assert stored.shape == (2, 27 * 6, 3 * 43 * 6 + 4, 3)
    assert error_of(stored[:, : 27 * 6, : 43 * 6], smooth(2, 27, 43), 6) < 4


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_strip_has_a_row_per_clip(tmp_path, channels):
    clips = noise(2, 5, 8, 6, channels)
    strip = video.read(video.write(tmp_path / "strip.png", clips))
    assert strip.shape == (1, 2 * 8 + 2, 5 * 6 + 4 * 2, channels)
    np.testing.assert_array_equal(strip[0, 10:18, 16:22], clips[1, 2])
    with pytest.raises(VideoError, match="columns"):
        video.write(tmp_path / "strip.png", clips, columns=2)


# --------------------------------------------------------------------------------- reading in parts


@pytest.mark.parametrize("suffix", MOVING)
def test_parts_are_parts_of_the_whole(tmp_path, suffix):
    path = video.write(tmp_path / f"parts{suffix}", smooth(11))
    whole = video.read(path)
    chunks = list(video.stream(path, chunk=4))
    assert [len(chunk) for chunk in chunks] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    np.testing.assert_array_equal(video.read(path, start=3, frames=5), whole[3:8])
    assert len(video.read(path, start=9, frames=5)) == 2
    with pytest.raises(VideoError, match="ends before frame 11"):
        video.read(path, start=11)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_streaming_in_and_out_needs_the_memory_of_a_chunk(tmp_path, suffix):
    source = tmp_path / f"in{suffix}"
    frame = smooth(1, 256, 256, 3)
    with video.VideoWriter(source, fps=25) as out:
        for shift in range(150):
            out.append(np.roll(frame, shift, 2))
    tracemalloc.start()
    with video.VideoWriter(tmp_path / f"out{suffix}", fps=25) as out:
        for clip in video.stream(source, chunk=5):
            out.append(255 - clip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15 * frame.nbytes  # 150 went through
    assert video.probe(tmp_path / f"out{suffix}")["frames"] == 150


def test_the_writer_gives_what_write_gives(tmp_path):
    clip = smooth(7, 27, 35, 3)
    with video.VideoWriter(tmp_path / "a.mp4", fps=15) as out:
        out.append(clip[:3])
        out.append(clip[3:] / 255)
    video.write(tmp_path / "b.mp4", clip, fps=15)
    assert video.probe(tmp_path / "a.mp4") == video.probe(tmp_path / "b.mp4")
    for name in ("a.mp4", "b.mp4"):  # equal but for x264, which is not, to the bit
        assert error_of(video.read(tmp_path / name), clip, 6) <= ERROR[".mp4"]


def test_a_video_filmed_upright_comes_upright(tmp_path):
    clip = np.broadcast_to(np.arange(160, dtype=np.uint8)[:, None], (2, 128, 160, 3))
    path = video.write(tmp_path / "phone.mp4", clip)
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 4 + 40  # after 40 bytes of a version-0 track header
    turned = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 128 << 16, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content[:matrix] + turned + content[matrix + 36 :])
    assert error_of(video.read(path), np.rot90(clip, -1, (1, 2)), 1) < 4  # a quarter clockwise
    assert (video.probe(path)["height"], video.probe(path)["width"]) == (160, 128)


def test_a_gif_whose_equal_frames_were_merged_keeps_its_time(tmp_path):
    pictures = [Image.fromarray(frame[..., 0]) for frame in np.repeat(smooth(4), [1, 3, 1, 1], 0)]
    for name in ("merged.gif", "merged.webp"):
        path = tmp_path / name
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=80, lossless=True
        )
        with Image.open(path) as image:
            assert image.n_frames == 4  # else this test tests nothing
        clip = video.read(path)
        assert len(clip) == 6 and video.probe(path)["frames"] == 6
        assert (clip[1] == clip[3]).all() and (clip[3] != clip[4]).any()
        assert video.probe(path)["fps"] == 12.5


def test_what_is_transparent_is_black(tmp_path):
    pixels = np.full((20, 20, 4), 200, np.uint8)
    pixels[:, 10:, 3] = 0
    for suffix in (".png", ".webp", ".gif"):
        path = tmp_path / f"clear{suffix}"
        Image.fromarray(pixels).save(path, lossless=True)
        clip = video.read(path)
        assert clip.shape == (1, 20, 20, 3) and (clip[:, :, 10:] == 0).all()
        assert clip[:, :, :10].mean() > 100


# ---------------------------------------------------------------------------------------- notebooks


def test_show_gives_a_notebook_a_gif_that_plays_everywhere(tmp_path):
    code = """
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from vgzoo import video
InteractiveShell.instance()
clips = np.random.default_rng(0).integers(0, 256, (4, 3, 28, 28, 1), np.uint8)
print(video.show(clips, fps=12)._repr_html_())
"""
    html = run_python(code).stdout
    width, content = re.fullmatch(
        r'<img width="(\d+)" .* src="data:image/gif;base64,([^"]+)">\n', html
    ).groups()
    path = tmp_path / "shown.gif"
    path.write_bytes(base64.b64decode(content))
    clip = video.read(path)
    assert clip.shape == (3, 58, 58, 1) and int(width) == 5 * 58
    wanted = np.random.default_rng(0).integers(0, 256, (4, 3, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(clip[:, 30:, :28], wanted[2])


def test_show_outside_a_notebook_says_what_to_do():
    with pytest.raises(VideoError, match=r"vgzoo.write\('clips.gif'"):
        video.show(smooth())


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(video).failed == 0
    assert video.probe("negative.mp4")["frames"] == 20


def test_a_rate_may_be_a_fraction(tmp_path):
    path = video.write(tmp_path / "ntsc.mp4", smooth(), fps=Fraction(30000, 1001))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)

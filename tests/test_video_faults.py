"""Files that are damaged or none, writes that fail, and what is left after them."""

import io
import os
import re

import av
import numpy as np
import pytest
from films import MOVING, noise, only_file, run_python, smooth
from PIL import Image

from vgzoo import video
from vgzoo.errors import VideoError

# ------------------------------------------------------------------------------ files that are none


def damage(content):
    """A hundred flipped bytes in the middle."""
    content = bytearray(content)
    for place in np.random.default_rng(0).integers(len(content) // 3, len(content) * 2 // 3, 100):
        content[place] ^= 0xFF
    return bytes(content)


def unreadable(path, words):
    """All three ways of reading give one line with the path and these words."""
    for reader in (video.read, video.probe, lambda path: list(video.stream(path))):
        with pytest.raises(VideoError, match=words) as caught:
            reader(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", MOVING)
def test_a_file_cut_anywhere_is_refused(tmp_path, suffix):
    path = video.write(tmp_path / f"whole{suffix}", noise(5, 16, 16, 3), scale=1)
    content = path.read_bytes()
    starts = [found.start() for found in re.finditer(b"\x21\xf9\x04", content)]  # gif frames
    cuts = [*range(1, len(content), len(content) // 40), *starts, len(content) - 1]
    for cut in cuts:
        path.write_bytes(content[:cut])
        unreadable(path, "cut off|damaged|not a video")


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".png"])
def test_a_damaged_file_is_refused(tmp_path, suffix):
    path = video.write(tmp_path / f"whole{suffix}", noise(12, 32, 32, 3), scale=1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(VideoError, match="damaged") as caught:
        video.read(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_video_is_refused(tmp_path):
    unreadable(tmp_path / "missing.mp4", "no such file")
    unreadable(tmp_path, "is a folder")
    contents = {
        "empty.mp4": (b"", "empty"),
        "text.txt": (b"terminal art to ffmpeg\n" * 99, "not a video"),
        "text.mp4": (b"a download that was an error page\n" * 99, "not a video"),
        "random.gif": (noise(5000).tobytes(), "not a video"),
        "short.webm": (b"\x1aE\xdf\xa3", "not a video"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "not a video"),
        "sixteen.png": (png_of(np.full((4, 4), 1000, np.uint16)), "16 bits"),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        unreadable(tmp_path / name, words)


def png_of(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    unreadable(path, "no video stream")


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    parts = []
    for size in (64, 96):
        part = tmp_path / f"{size}.ts"
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width = stream.height = size
            for picture in noise(4, size, size, 3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    with pytest.raises(VideoError, match="96x96 where the first is 64x64"):
        video.read(path)


def test_a_name_in_another_encoding_inside_a_file_does_no_harm(tmp_path):
    path = video.write(tmp_path / "clip.mp4", smooth())
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"Lav\xe9"))
    assert len(video.read(path)) == 6


# --------------------------------------------------------------------------------- failing to write


@pytest.mark.parametrize("suffix", [*MOVING, ".png"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"old{suffix}"
    path.write_bytes(b"the old one")
    code = """
import resource, signal, sys
import numpy as np
from vgzoo import video
from vgzoo.errors import VideoError
import av, PIL.Image
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    video.write(sys.argv[1], np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8))
except VideoError as error:
    print(error)
"""
    done = run_python(code, path)
    assert done.stdout.startswith(f"cannot write {path}") and "too large" in done.stdout
    assert done.stdout.count("\n") == 1 and done.returncode == 0
    assert only_file(tmp_path).read_bytes() == b"the old one"


@pytest.mark.parametrize("appended", [0, 1])
def test_an_edit_that_fails_leaves_the_old_file(tmp_path, appended):
    path = video.write(tmp_path / "old.mp4", smooth())
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), video.VideoWriter(path) as out:
        for _ in range(appended):
            out.append(smooth())
        1 / 0  # noqa: B018
    with pytest.raises(VideoError, match="wanted one size"), video.VideoWriter(path) as out:
        out.append(smooth())
        out.append(smooth(height=30))
    with pytest.raises(VideoError, match="no frames came"), video.VideoWriter(path):
        pass
    assert only_file(tmp_path).read_bytes() == before


def test_a_written_file_has_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    for suffix in (".mp4", ".gif"):
        path = video.write(tmp_path / f"clip{suffix}", smooth())
        assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("clip.avi", {}, "'.avi'.*wanted one of .mp4"),
        ("clip", {}, "wanted one of"),
        ("missing/clip.mp4", {}, "no folder.*make it first"),
        ("missing/clip.gif", {}, "no folder.*make it first"),
        ("folder.mp4", {}, "is a folder"),
        ("clip.mp4", {"fps": 0}, "fps=0"),
        ("clip.mp4", {"fps": float("nan")}, "fps=nan"),
        ("clip.mp4", {"fps": "25"}, "fps='25'"),
        ("clip.gif", {"fps": 60}, "50 at most"),
        ("clip.webp", {"fps": 60}, "50 at most"),
        ("clip.gif", {"scale": 0}, "scale=0"),
        ("clip.mp4", {"scale": 1.5}, "scale=1.5"),
        ("clip.mp4", {"columns": 0}, "columns=0"),
        ("clip.mp4", {"scale": 1000}, "28000x28000.*smaller scale"),
        ("clip.webp", {"scale": 1000}, "28000x28000.*smaller scale"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(tmp_path, name, options, words):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(VideoError, match=words) as caught:
        video.write(tmp_path / name, smooth(2), **options)
    assert "\n" not in str(caught.value)
    assert only_file(tmp_path).name == "folder.mp4"


def test_a_writer_needs_its_block_and_single_clips(tmp_path):
    with pytest.raises(VideoError, match="inside `with"):
        video.VideoWriter(tmp_path / "a.mp4").append(smooth())
    with pytest.raises(VideoError, match="one clip at a time"):
        with video.VideoWriter(tmp_path / "a.mp4") as out:
            out.append(smooth()[None])
    with pytest.raises(VideoError, match="wanted one of .mp4, .webm"):
        video.VideoWriter(tmp_path / "a.gif")
    assert not os.listdir(tmp_path)

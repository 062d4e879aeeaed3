"""Files, edited in windows: frames, sound, mistakes, and the command line."""

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from films import run_python

from vgzoo import cli, edit, video
from vgzoo.edit.stream import edit_file
from vgzoo.errors import VgzooError, VideoError

FRAMES, SIZE, FPS = 20, (48, 64), 25
VIDEOS = sorted(Path(os.environ.get("VGZOO_DATA", "nowhere"), "videos").glob("*.mp4"))


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(p) for p in file.demux(file.streams.audio[0]) if p.size]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """An mp4 of a moving ramp with a tone."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("libx264", rate=FPS, options={"crf": "1"})
        pictures.height, pictures.width = SIZE
        pictures.pix_fmt = "yuv420p"
        tone = file.add_stream("aac", rate=16000, layout="mono")
        for index in range(FRAMES):
            ramp = np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) + 4 * index
            frame = np.stack([ramp, ramp, 200 - ramp], -1).clip(0, 255).astype("uint8")
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        wave = np.sin(np.arange(16000 * FRAMES // FPS) * 0.1).astype("float32")[None]
        for first in range(0, wave.shape[1], 1024):
            part = np.ascontiguousarray(wave[:, first : first + 1024])
            sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 16000, first
            file.mux(tone.encode(sound))
        file.mux(pictures.encode(None))
        file.mux(tone.encode(None))
    return path


def test_a_file_is_edited_as_the_clip_is_and_keeps_its_sound(film, tmp_path):
    target = tmp_path / "out.mp4"
    seen = []
    grade = edit.parse("exposure=0.5 saturation=0.5 equalize=0.3")
    report = edit_file(film, target, grade, progress=lambda *at: seen.append(at))
    assert report == dict(frames=FRAMES, height=48, width=64, fps=25, sound=1, sound_left_out=0)
    assert seen[-1] == (FRAMES, FRAMES)
    wanted = np.asarray(grade(video.read(film))).astype(int)
    got = video.read(target)
    assert got.shape == wanted.shape and np.abs(got - wanted).mean() < 3
    assert packets(target) == packets(film)
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_keyframes_run_over_the_whole_file(film, tmp_path):
    fade = edit.Brightness(edit.Keyframes({0: 0, 0.76: -1}, unit="seconds"))
    edit_file(film, tmp_path / "fade.mp4", fade, sound=False)
    light = video.read(tmp_path / "fade.mp4").mean((1, 2, 3))
    assert (np.diff(light) < 1).all() and light[-1] < 2 < light[0]
    with av.open(str(tmp_path / "fade.mp4")) as file:
        assert not file.streams.audio


def test_after_an_error_the_old_file_is_there_and_nothing_else(film, tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with pytest.raises(VgzooError, match="2 values for 20 frames"):
        edit_file(film, target, edit.Exposure([0, 1]))
    with pytest.raises(VideoError, match="aac sound"):
        edit_file(film, tmp_path / "out.webm", edit.Invert())
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["out.mp4"]
    report = edit_file(film, target, edit.Invert(), sound=False)
    assert report["frames"] == len(video.read(target))
    edit_file(target, target, edit.Invert())  # onto itself
    assert np.abs(video.read(target).astype(int) - video.read(film)).mean() < 4


@pytest.mark.skipif(not VIDEOS, reason="VGZOO_DATA holds no videos")
@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_real_videos_come_through_whole(path, tmp_path, capsys):
    target, before = tmp_path / "out.mp4", video.probe(path)
    grade = "exposure=0.3 stabilise saturation=1.2 resize=width:320 vignette"
    code, out, err = run(capsys, str(path), str(target), "--do", grade, "--json")
    assert code == 0, err
    after = video.probe(target)
    assert after["frames"] == before["frames"] == json.loads(out)["frames"]
    assert after["fps"] == pytest.approx(before["fps"], rel=1e-3)
    assert after["width"] == 320
    with av.open(str(path)) as file, av.open(str(target)) as edited:
        assert len(edited.streams.audio) == len(file.streams.audio)
        if file.streams.audio:
            assert packets(target) == packets(path)


MEMORY = """
import resource, sys
import numpy as np
from vgzoo import edit, video
from vgzoo.edit.stream import edit_file

frame = np.random.default_rng(0).integers(0, 256, (1, 240, 320, 3), "uint8")
grade = edit.parse("exposure=0.3 blur=1 stabilise=4 speed=0.9")
for frames in (100, 400):
    with video.VideoWriter(sys.argv[1] + "/in.mp4", fps=25) as out:
        for shift in range(frames):
            out.append(np.roll(frame, shift // 9, 2))
    edit_file(sys.argv[1] + "/in.mp4", sys.argv[1] + "/out.mp4", grade)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_length(tmp_path):
    done = run_python(MEMORY, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    short, long = (int(size) for size in done.stdout.split())
    assert long - short < 30_000, (short, long)  # KiB; 300 frames are 69 MB


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["edit", *arguments])
    return (code, *capsys.readouterr())


def test_the_command_line(film, tmp_path, capsys):
    (tmp_path / "grade.json").write_text(edit.to_json(edit.parse("exposure=0.3 invert")))
    target = str(tmp_path / "out.mp4")
    code, out, err = run(
        capsys, str(film), target, "--edits", str(tmp_path / "grade.json"), "--json"
    )
    report = json.loads(out)
    assert code == 0 and report["frames"] == FRAMES and report["sound"] == 1, err
    assert "frames/s" in err
    code, out, _ = run(capsys, str(film), target, "--do", "invert", "--mute")
    assert code == 0 and "without sound," in out and "fit" not in out
    code, out, _ = run(capsys, str(film), target, "--do", "reverse")
    assert code == 0 and "without sound, which does not fit under these edits of time" in out


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["{film}", "{out}.mp4"], "--edits"),
        (["{film}", "{out}.mp4", "--do", "exposur=1"], "did you mean 'exposure'"),
        (["{film}", "{out}.mp4", "--do", "exposure=99"], "wanted -10 to 10"),
        (["{film}", "{out}.mp4", "--edits", "none.json"], "cannot read none.json"),
        (["{film}", "{out}.avi", "--do", "invert"], "wanted one of .mp4, .webm"),
        (["{film}", "{out}/no/x.mp4", "--do", "invert"], "make it first"),
        (["none.mp4", "{out}.mp4", "--do", "invert"], "no such file"),
        (["{film}", "{out}.mp4", "--do", "lut=none.cube"], "cannot read the table none.cube"),
    ],
)
def test_a_mistake_is_one_line(arguments, line, film, tmp_path, capsys):
    filled = [a.format(film=film, out=tmp_path / "out") for a in arguments]
    code, out, err = run(capsys, *filled)
    assert code == 2 and out == "" and line in err and err.strip().count("\n") == 0, err
    assert os.listdir(tmp_path) == []

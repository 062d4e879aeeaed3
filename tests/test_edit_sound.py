"""Sound under edits of time: the right part of it, in step with the pictures, at its pitch."""

from pathlib import Path

import av
import numpy as np
import pytest

from vgzoo import edit
from vgzoo.edit.sound import tempos
from vgzoo.edit.stream import edit_file, open_footage

FRAMES, FPS, RATE = 50, 25, 16000
LOW, HIGH = 300, 700  # Hz, of the first second and of the second one
CODEC_FRAME_S = 1024 / RATE


def write(path: Path, codec: str, sound: str, rate: int) -> Path:
    with av.open(str(path), "w") as file:
        pictures = file.add_stream(codec, rate=FPS)
        pictures.height, pictures.width, pictures.pix_fmt = 32, 48, "yuv420p"
        tone = file.add_stream(sound, rate=rate, layout="mono")
        for index in range(FRAMES):
            frame = np.full((32, 48, 3), 4 * index, "uint8")
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        time = np.arange(rate * FRAMES // FPS) / rate
        wave = np.where(time < 1, np.sin(2 * np.pi * LOW * time), np.sin(2 * np.pi * HIGH * time))
        frame = av.AudioFrame.from_ndarray(wave[None].astype("float32"), "fltp", "mono")
        frame.sample_rate, frame.pts = rate, 0
        for packet in (*tone.encode(frame), *tone.encode(None), *pictures.encode(None)):
            file.mux(packet)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("film") / "film.mp4", "libx264", "aac", RATE)


def heard(path: Path) -> tuple[np.ndarray, int]:
    """Samples from the file's time 0 on, and their rate."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    rate = frames[0].sample_rate
    start = round(float(frames[0].time) * rate)
    samples = np.concatenate([f.to_ndarray().mean(0) for f in frames])
    return samples[max(0, -start) :], rate


def pitch(samples: np.ndarray, rate: int) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return power.argmax() * rate / len(samples)


@pytest.mark.parametrize(
    "edits, seconds, pitches",
    [
        ("trim=0,20", 0.8, [LOW]),
        ("trim=30", 0.8, [HIGH]),
        ("trim=15,35", 0.8, [LOW, HIGH]),
        ("speed=2", 1.0, [LOW, HIGH]),
        ("speed=0.4 exposure=1", 5.0, [LOW, HIGH]),
        ("trim=10,40 speed=2 trim=5", 0.4, [HIGH]),
        ("speed=2 trim=0,10", 0.4, [LOW]),
        ("resample=50 trim=0,50", 1.0, [LOW]),
    ],
)
def test_the_sound_is_that_of_the_frames(film, tmp_path, edits, seconds, pitches):
    target = tmp_path / "out.mp4"
    report = edit_file(film, target, edit.parse(edits))
    assert report["sound"] == 1
    assert report["frames"] / report["fps"] == pytest.approx(seconds, abs=2.5 / FPS)
    samples, rate = heard(target)
    assert len(samples) / rate == pytest.approx(seconds, abs=3 * CODEC_FRAME_S)
    for part, wanted in zip(np.array_split(samples, len(pitches)), pitches, strict=True):
        inner = part[len(part) // 8 : -len(part) // 8]
        assert pitch(inner, rate) == pytest.approx(wanted, rel=0.03)


def test_webm_gets_its_own_codec(film, tmp_path):
    edit_file(film, tmp_path / "out.webm", edit.Trim(0, 20))
    samples, rate = heard(tmp_path / "out.webm")
    assert rate == 48000 and pitch(samples, rate) == pytest.approx(LOW, rel=0.03)


@pytest.mark.parametrize("edits", ["reverse", "ping_pong", "loop=4", "freeze=3,10"])
def test_what_cannot_be_heard_along_is_left_out(film, tmp_path, edits):
    assert edit_file(film, tmp_path / "out.mp4", edit.parse(edits))["sound"] == 0
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert not file.streams.audio


@pytest.mark.parametrize(
    "edits, wanted",
    [
        ("exposure=1 resample=50", (0, None, 1)),
        ("trim=5 trim=5,10", (10, 15, 1)),
        ("trim=5 speed=2 trim=5,10", (15, 25, 2)),
    ],
)
def test_parts_of_parts(film, edits, wanted):
    start, end, tempo = wanted
    sound = edit.parse(edits).stream(open_footage(film)).sound
    assert sound == (
        pytest.approx(start / FPS),
        None if end is None else pytest.approx(end / FPS),
        tempo,
    )


@pytest.mark.parametrize("factor", [0.01, 0.3, 1, 1.7, 90])
def test_any_tempo_is_a_product_of_small_ones(factor):
    assert np.prod(tempos(factor)) == pytest.approx(factor)
    assert all(0.5 <= one <= 2 for one in tempos(factor))

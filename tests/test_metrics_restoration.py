"""How a restorer is judged, and what it is judged beside."""

import numpy as np
import pytest
from colour_banks import write_imagenette
from every import kept
from scipy import ndimage

from vgzoo import hub, video
from vgzoo.metrics import baselines, evaluate, restoration

RNG = np.random.default_rng(0)


def panned(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture that a camera pans over, three pixels a frame."""
    scene = ndimage.gaussian_filter(RNG.normal(size=(height, width + 3 * frames, 3)), (3, 3, 0))
    scene = 128 + 50 * scene / scene.std()
    clip = [scene[:, 3 * t : 3 * t + width] for t in range(frames)]
    return np.stack(clip).clip(0, 255).round().astype("uint8")


def psnr(real, made) -> float:
    return restoration._psnr([real], [made])


def test_frames_between_follow_the_motion_or_not():
    clip = panned(9)
    new = np.arange(9) % 2 > 0
    blend, flow = (make(clip[::2], 2) for make in (baselines.blended, baselines.flowed))
    for made in (blend, flow):
        np.testing.assert_array_equal(made[::2], clip[::2])
    wanted = np.round((clip[0].astype(float) + clip[2]) / 2)
    assert np.abs(blend[1] - wanted).max() <= 1
    assert psnr(clip[new], flow[new]) > psnr(clip[new], blend[new]) + 6
    fourth = baselines.blended(clip[::4], 4)
    wanted = np.round(0.75 * clip[0].astype(float) + 0.25 * clip[4])
    assert fourth.shape == clip.shape and np.abs(fourth[1] - wanted).max() <= 1


def test_holes_are_filled_from_their_rim_or_from_other_frames():
    clip = np.repeat(panned(1), 5, axis=0)  # which stands
    holes = np.zeros((5, 48, 64), bool)
    for t in range(5):
        holes[t, 10:20, 8 * t : 8 * t + 12] = True
    gone = np.where(holes[..., None], 0, clip).astype("uint8")
    exact, near = baselines.temporal_median(gone, holes), baselines.telea(gone, holes)
    np.testing.assert_array_equal(exact, clip)
    np.testing.assert_array_equal(near[~holes], clip[~holes])
    assert psnr(clip, near) > psnr(clip, gone) + 6
    holes[:] = holes.any(axis=0)  # nowhere to be seen
    gone = np.where(holes[..., None], 0, clip).astype("uint8")
    np.testing.assert_array_equal(
        baselines.temporal_median(gone, holes), baselines.telea(gone, holes)
    )


def test_noise_goes_by_non_local_means_of_the_best_strength():
    clips = panned(2)[None]
    worn = restoration._worn(clips, 0)
    assert list(worn) == ["noise15", "noise25", "noise50", "blur", "jpeg"]
    made = restoration._denoised(clips, worn["noise25"])
    best = psnr(clips[0], made[0])
    assert best > psnr(clips[0], worn["noise25"][0]) + 3
    each = [
        psnr(clips[0], baselines.nonlocal_means(worn["noise25"][0], s)) for s in baselines.STRENGTHS
    ]
    assert best == pytest.approx(max(each))
    noise = worn["noise25"].astype(float) - clips
    assert 22 < noise.std() < 26


def test_figures_are_what_they_say():
    clip = panned(3)
    off = (clip.astype(int) + 5).clip(0, 255)
    assert psnr(clip, off) == pytest.approx(20 * np.log10(255 / 5), abs=0.2)
    holes = np.zeros((3, 48, 64), bool)
    holes[1, :4, :4] = True
    made = clip.copy()
    made[1, :4, :4] = 255 - made[1, :4, :4]
    made[0] = 0  # which is not in the hole
    error = np.square(made[1, :4, :4] / 255 - clip[1, :4, :4] / 255).mean()
    found = restoration._psnr([clip], [made], holes[None])
    assert found == pytest.approx(-10 * np.log10(error))
    grey = restoration._grey(clip[None])
    lab = restoration._lab(clip)[..., 1:]
    chroma = np.linalg.norm(lab, axis=-1).mean()
    assert restoration._colour_error(clip[None], grey) == pytest.approx(chroma, rel=0.02)
    assert restoration._colour_error(clip[None], clip[None]) == 0
    mean = lab.reshape(-1, 2).mean(axis=0)
    assert restoration._colour_error(clip[None], None, mean) < chroma
    for name, holes in restoration._holes((4, 9, 64, 64, 3), 1).items():
        assert holes.shape == (4, 9, 64, 64) and 0.005 < holes.mean() < 0.15
        stands = (holes == holes[:, :1]).all()
        assert stands == (name != "moving")


def test_a_restorer_is_judged_task_by_task_and_on_real_videos(tmp_path, monkeypatch):
    write_imagenette(tmp_path)
    (tmp_path / "videos").mkdir()
    video.write(tmp_path / "videos" / "pan.mp4", panned(5), fps=8, scale=1)
    monkeypatch.setattr(restoration, "_VIDEO_HEIGHT", 48)
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    hub.save(kept("restorer"), tmp_path / "tiny", dataset="imagenette", fps=8)
    report = evaluate.evaluate(tmp_path / "tiny", n=2)
    assert report["protocol"] == "restoration-imagenette" and report["n"] == 2
    floors = report["floors"]
    judged = {key for floor in floors.values() for key in floor}
    assert judged == set(report["metrics"]) and len(judged) == 14
    assert floors["as it came"]["noise15_psnr"] > floors["as it came"]["noise50_psnr"] > 10
    assert floors["non-local means"]["noise50_psnr"] > floors["as it came"]["noise50_psnr"]
    assert floors["bicubic"]["superresolve2_psnr"] > floors["bicubic"]["superresolve4_psnr"]
    assert all(
        np.isfinite(v) for floor in (report["metrics"], *floors.values()) for v in floor.values()
    )
    rows = report["table"]["rows"]
    assert len(rows) == 5 and {row[0] for row in rows} == {"pan"}
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert "every second frame removed" in card and 'method="restore"' in card

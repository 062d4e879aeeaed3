"""Colour edits against OpenCV, Pillow, scikit-image, SciPy and ffmpeg's filters."""

import shutil
import subprocess

import av
import cv2
import numpy as np
import pytest
from edit_helpers import close, numpy
from PIL import Image, ImageFilter, ImageOps
from scipy.interpolate import PchipInterpolator
from skimage import color, exposure

from vgzoo import edit
from vgzoo.edit.match import from_lab, to_lab
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(1)
# Smooth and noisy, light and dark, with every colour.
NOISE = RNG.integers(0, 256, (2, 24, 40, 3), "uint8")
RAMP = np.stack(np.meshgrid(*[np.linspace(20, 200, n) for n in (24, 40)], indexing="ij"), -1)
CLIP = np.concatenate([NOISE, np.stack([np.dstack([RAMP, RAMP[..., :1] / 2])]).astype("uint8")])


def tall(clip: np.ndarray) -> Image.Image:
    """The frames of a clip as one picture, for what looks at a whole picture."""
    return Image.fromarray(clip.reshape(-1, *clip.shape[2:]))


def ffmpeg(frame: np.ndarray, name: str, options: str, pixels: str = "rgb24") -> np.ndarray:
    """One frame through a filter of ffmpeg; yuv444p comes and goes as (3, H, W)."""
    graph = av.filter.Graph()
    height, width = frame.shape[-2:] if pixels == "yuv444p" else frame.shape[:2]
    nodes = [
        graph.add(
            "buffer", f"video_size={width}x{height}:pix_fmt={pixels}:time_base=1/25:pixel_aspect=1"
        ),
        graph.add(name, options),
        graph.add("format", pixels),
        graph.add("buffersink"),
    ]
    for before, behind in zip(nodes, nodes[1:], strict=False):
        before.link_to(behind)
    graph.configure()
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=pixels)
    picture.pts = 0
    graph.push(picture)
    return graph.pull().to_ndarray()


@pytest.mark.parametrize(
    "same",
    [
        edit.Exposure(0),
        edit.Brightness(0),
        edit.Contrast(1),
        edit.Gamma(1),
        edit.Levels(),
        edit.Posterize(8),
        edit.Solarize(1),
        edit.Saturation(1),
        edit.Hue(0),
        edit.Hue(360),
        edit.Greyscale(0),
        edit.Sepia(0),
        edit.Vibrance(0),
        edit.Temperature(0),
        edit.WhiteBalance(0),
        edit.Equalize(0),
        edit.Curves(),
        edit.Curves([0, 0.5, 1]),
        edit.Vignette(0),
        edit.Grain(0),
        edit.HistogramMatch(CLIP),
        edit.ColourMatch(CLIP, 0),
    ],
    ids=lambda layer: layer.name,
)
def test_some_parameters_change_nothing(same):
    clip = np.where(CLIP == 255, 254, CLIP)  # solarize at 1 takes white only
    if same.edit_name == "histogram_match":
        clip = CLIP
    np.testing.assert_array_equal(numpy(same(clip)), clip)
    np.testing.assert_array_equal(same.host(clip), clip)


def test_some_edits_undo_others():
    dark = CLIP // 3 + 40
    for there, back in [
        (edit.Invert(), edit.Invert()),
        (edit.Exposure(0.7), edit.Exposure(-0.7)),
        (edit.Gamma(2), edit.Gamma(0.5)),
        (edit.Contrast(0.5), edit.Contrast(2)),
        (edit.Hue(10), edit.Hue(-10)),
    ]:
        float_clip = dark.astype("float32") / 255
        np.testing.assert_allclose(numpy(back(there(float_clip))), float_clip, atol=2e-4)


def test_tone_is_that_of_pillow():
    for bits in (1, 3, 6):
        close(
            edit.Posterize(bits)(CLIP),
            np.stack([ImageOps.posterize(Image.fromarray(f), bits) for f in CLIP]),
            0,
        )
    close(
        edit.Solarize(128 / 255)(CLIP),
        np.stack([ImageOps.solarize(Image.fromarray(f), 128) for f in CLIP]),
        0,
    )
    close(edit.Invert()(CLIP), 255 - CLIP, 0)
    close(edit.Gamma(2.2)(CLIP), exposure.adjust_gamma(CLIP / 255, 1 / 2.2) * 255)
    close(edit.Contrast(1.4)(CLIP), np.clip((CLIP - 127.5) * 1.4 + 127.5, 0, 255))
    stretched = exposure.rescale_intensity(CLIP / 255, in_range=(0.1, 0.8)) * 255
    close(edit.Levels(black=0.1, white=0.8)(CLIP), stretched)


def test_a_stop_doubles_the_light():
    dark = np.full((1, 2, 2, 3), 60, "uint8")
    brighter = numpy(edit.Exposure(1)(dark)) / 255
    linear = [color.rgb2xyz(x)[..., 1].mean() for x in (dark / 255, brighter)]
    assert linear[1] / linear[0] == pytest.approx(2, rel=0.02)


def test_equalize_is_that_of_opencv_on_the_whole_clip():
    wanted = [
        cv2.equalizeHist(np.ascontiguousarray(np.asarray(tall(CLIP))[..., c])) for c in range(3)
    ]
    close(edit.Equalize()(CLIP), np.stack(wanted, -1).reshape(CLIP.shape))


@pytest.mark.parametrize("size", [(24, 40), (27, 45), (24, 45)])
@pytest.mark.parametrize("limit", [0.5, 2.0, 40.0])
def test_clahe_is_that_of_opencv(size, limit):
    high, wide = size
    frame = (np.add.outer(np.arange(high) * 3, np.arange(wide) * 2) % 200).astype("uint8")
    frame[::2] = frame[::2] // 2 + 60
    wanted = cv2.createCLAHE(limit, (4, 4)).apply(frame)
    close(edit.Clahe(limit, tiles=4)(frame[None, ..., None])[0, ..., 0], wanted)


def test_colours_are_matched_as_scikit_image_does():
    other = (CLIP // 2 + 30)[:, ::-1, :20]
    wanted = exposure.match_histograms(
        np.asarray(tall(CLIP)), np.asarray(tall(other)), channel_axis=-1
    )
    close(edit.HistogramMatch(other)(CLIP), wanted.reshape(CLIP.shape))
    lab = color.rgb2lab(CLIP)
    np.testing.assert_allclose(numpy(to_lab(CLIP.astype("float32") / 255)), lab, atol=0.02)
    back = numpy(from_lab(lab.astype("float32")))
    np.testing.assert_allclose(back, CLIP / 255, atol=1e-3)
    with pytest.raises(VgzooError, match="no such file"):
        edit.ColourMatch("nowhere.png")


def ruderman(clip: np.ndarray) -> np.ndarray:
    """lαβ as the paper writes it."""
    linear = np.where(clip <= 0.04045, clip / 12.92, ((clip + 0.055) / 1.055) ** 2.4)
    to_lms = [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]]
    long, middle, short = np.log10(np.maximum(linear @ np.transpose(to_lms), 3e-4)).transpose(
        3, 0, 1, 2
    )
    both = long + middle
    axes = (both + short) / 3**0.5, (both - 2 * short) / 6**0.5, (long - middle) / 2**0.5
    return np.stack(axes, -1)


@pytest.mark.parametrize("space, numbers", [("lalphabeta", ruderman), ("cielab", color.rgb2lab)])
def test_colours_have_the_mean_and_spread_of_the_reference(space, numbers):
    clip, other = CLIP[2:] // 3 + 60, (CLIP[2:] // 4 + 90)[:, ::-1, :20]
    layer = edit.ColourMatch(other, space=space)
    for got in (numpy(layer(clip.astype("float32") / 255)), layer.host(clip) / 255):
        got, wanted = numbers(got).reshape(-1, 3), numbers(other / 255).reshape(-1, 3)
        assert np.abs(got.mean(0) - wanted.mean(0)).max() < 0.02 * np.ptp(wanted)
        assert np.abs(got.std(0) - wanted.std(0)).max() < 0.02 * np.ptp(wanted)
    with pytest.raises(VgzooError, match="did you mean 'cielab'"):
        edit.ColourMatch(other, space="lab")


def test_grey_world_makes_the_mean_grey():
    tinted = (CLIP[..., :1] * np.array([0.8, 0.6, 0.4])).astype("uint8")
    light = color.rgb2xyz(numpy(edit.WhiteBalance()(tinted)) / 255)
    grey = color.rgb2xyz(np.full((1, 1, 3), 0.5))
    ratio = light.mean((0, 1, 2)) / grey[0, 0]
    np.testing.assert_allclose(ratio / ratio[1], 1, atol=0.02)


@pytest.mark.parametrize("points", [[[0, 0.1], [0.3, 0.2], [0.6, 0.9], [1, 0.8]], [0.2, 0.9]])
def test_curves_are_monotone_cubics(points):
    array = np.array(points)
    x = np.linspace(0, 1, len(array)) if array.ndim == 1 else array[:, 0]
    y = array if array.ndim == 1 else array[:, 1]
    shares = CLIP / 255.0
    wanted = PchipInterpolator(x, y)(shares)
    close(edit.Curves(points)(CLIP), wanted * 255, 0.51)
    if array.ndim == 2:
        text = " ".join(f"{a}/{b}" for a, b in points)
        close(
            edit.Curves(red=points)(CLIP)[0], ffmpeg(CLIP[0], "curves", f"interp=pchip:r='{text}'")
        )
    with pytest.raises(VgzooError, match="two points"):
        edit.Curves([[0, 0], [0, 1]])


def yuv(frame: np.ndarray) -> np.ndarray:
    """float RGB (H, W, 3) in [0, 1] to full-range BT.709, uint8 (3, H, W)."""
    y = frame @ [0.2126, 0.7152, 0.0722]
    u, v = (frame[..., 2] - y) / 1.8556 + 0.5, (frame[..., 0] - y) / 1.5748 + 0.5
    return np.clip(np.rint(np.stack([y, u, v]) * 255), 0, 255).astype("uint8")


@pytest.mark.parametrize("degrees, factor", [(40, 1.0), (-100, 1.0), (0, 0.4), (0, 1.3)])
def test_hue_and_saturation_are_those_of_ffmpeg(degrees, factor):
    muted = (0.5 + (CLIP[2] / 255 - 0.5) * 0.4).astype("float32")
    wanted = ffmpeg(yuv(muted), "hue", f"h={degrees}:s={factor}", "yuv444p")
    turned = numpy(edit.Sequential([edit.Hue(degrees), edit.Saturation(factor)])(muted[None]))[0]
    close(yuv(turned), wanted, 2)  # ffmpeg counts in whole levels of chroma
    close(yuv(turned)[0], yuv(muted)[0])  # the luma stays


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="PyAV's ffmpeg has no filter eq")
@pytest.mark.parametrize(
    "options, layers",
    [
        # On a grey clip, since ffmpeg works on the luma alone; with a gamma, since without one it
        # counts in coarse whole numbers, up to four levels off its own formula.
        ("contrast=1.4:gamma=1.0001", [edit.Contrast(1.4)]),
        ("contrast=0.7:brightness=0.1:gamma=1.0001", [edit.Contrast(0.7), edit.Brightness(0.1)]),
        ("brightness=-0.2:gamma=1.0001", [edit.Brightness(-0.2)]),
        ("gamma=1.8", [edit.Gamma(1.8)]),
        ("gamma=0.5", [edit.Gamma(0.5)]),
    ],
)
def test_tone_is_that_of_ffmpeg(options, layers):
    grey = np.ascontiguousarray(CLIP[..., :1])
    frames, height, width, _ = grey.shape
    raw = f"-f rawvideo -pix_fmt gray -s {width}x{height}"
    command = f"ffmpeg -v error {raw} -i - -vf eq={options} {raw} -".split()
    done = subprocess.run(command, input=grey.tobytes(), capture_output=True, check=True)
    wanted = np.frombuffer(done.stdout, "uint8").reshape(grey.shape)
    layer = edit.Sequential(layers)
    close(layer(grey), wanted)
    close(layer.host(grey), wanted)


def cube(path, size: int, look) -> str:
    """A 3-D table of a look, with red changing fastest."""
    b, g, r = np.meshgrid(*[np.linspace(0, 1, size)] * 3, indexing="ij")
    rows = look(np.stack([r, g, b], -1).reshape(-1, 3))
    lines = "\n".join(" ".join(f"{x:.6f}" for x in row) for row in rows)
    path.write_text(f'TITLE "look"\n# made for a test\nLUT_3D_SIZE {size}\n\n{lines}\n')
    return str(path)


def teal(rgb: np.ndarray) -> np.ndarray:
    return np.clip(rgb[:, [0, 1, 1]] ** [0.8, 1.2, 1.0] * 0.7 + rgb[:, ::-1] ** 2 * 0.3, 0, 1)


def test_tables_are_those_of_ffmpeg_and_pillow(tmp_path, monkeypatch):
    path = cube(tmp_path / "teal.cube", 5, teal)
    for way in ("tetrahedral", "trilinear"):
        layer = edit.Lut(path, interpolation=way)
        for frame, got in zip(CLIP, numpy(layer(CLIP)), strict=True):
            close(got, ffmpeg(frame, "lut3d", f"file='{path}':interp={way}"))
    b, g, r = np.meshgrid(*[np.linspace(0, 1, 5)] * 3, indexing="ij")
    table = teal(np.stack([r, g, b], -1).reshape(-1, 3)).ravel().tolist()
    wanted = Image.fromarray(CLIP[0]).filter(ImageFilter.Color3DLUT(5, table))
    close(edit.Lut(path, "trilinear")(CLIP)[0], wanted)
    half = numpy(edit.Lut(path, amount=0.5)(CLIP)).astype(float)
    close(half, (numpy(edit.Lut(path)(CLIP)) + CLIP.astype(float)) / 2, 1)
    same = cube(tmp_path / "same.cube", 3, lambda rgb: rgb)
    np.testing.assert_array_equal(numpy(edit.Lut(same)(CLIP)), CLIP)


def test_a_long_file_goes_by_a_table_of_all_colours(tmp_path, monkeypatch):
    layer = edit.Lut(cube(tmp_path / "teal.cube", 5, teal))
    wanted = layer.host(CLIP)
    asked = []

    def all_colours():
        asked.append(1)
        dense = np.zeros((2**24, 4), "uint8")
        colour = CLIP.astype(int) @ [65536, 256, 1]
        dense[colour.ravel(), :3] = wanted.reshape(-1, 3)
        return dense.view("uint32").reshape(-1)

    monkeypatch.setattr(layer, "_all_colours", all_colours)
    when = edit.base.When(0, 100_000)
    np.testing.assert_array_equal(layer.host(CLIP, when), wanted)
    layer.host(CLIP, when)
    assert asked == [1]


def test_tables_of_one_dimension_and_wrong_ones(tmp_path):
    path = tmp_path / "one.cube"
    rows = "\n".join(f"{x} {1 - x} {x * x}" for x in np.linspace(0, 1, 256))
    path.write_text(f"LUT_1D_SIZE 256\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n{rows}\n")
    x = CLIP / 255
    close(edit.Lut(path)(CLIP), np.stack([x[..., 0], 1 - x[..., 1], x[..., 2] ** 2], -1) * 255)
    for text, line in [
        ("hello", "has no LUT_1D_SIZE"),
        ("LUT_3D_SIZE 2\n0 0 0", "1 rows; wanted 8"),
        ("LUT_3D_SIZE many", "line 1"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1", "line 3"),
        ("LUT_1D_SIZE 2\nDOMAIN_MAX 0 0 0\n0 0 0\n1 1 1", "empty domain"),
    ]:
        path.write_text(text)
        with pytest.raises(VgzooError, match=line):
            edit.Lut(path)
    with pytest.raises(VgzooError, match="cannot read the table"):
        edit.Lut(tmp_path / "none.cube")


def test_grain_is_new_in_each_frame_and_the_same_in_each_window():
    grey = np.full((3, 40, 40, 3), 128, "uint8")
    grain = edit.Grain(0.1, seed=5)
    noise = numpy(grain(grey)).astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.1) and abs(noise.mean()) < 1.5
    assert (noise[0] != noise[1]).mean() > 0.8 and (noise[..., 0] == noise[..., 1]).all()
    window = numpy(grain(grey[1:], start=1, total=3)).astype(float) - 128
    np.testing.assert_array_equal(window, noise[1:])
    assert (
        numpy(edit.Grain(0.1, coloured=True)(grey))[..., 0]
        != numpy(edit.Grain(0.1, coloured=True)(grey))[..., 1]
    ).any()


def test_a_green_screen_goes_and_the_rest_stays():
    clip = np.full((1, 4, 8, 3), (0, 255, 0), "uint8")
    clip[:, :, 4:] = (200, 120, 90)
    keyed = numpy(edit.ChromaKey(background="#0000ff")(clip))
    close(keyed[:, :, :4], np.broadcast_to((0, 0, 255), (1, 4, 4, 3)), 0)
    close(keyed[:, :, 4:], clip[:, :, 4:], 0)
    for wrong in ("green", (2, 0, 0), "#12345g"):
        with pytest.raises(VgzooError, match="wanted '#rrggbb'"):
            edit.ChromaKey(wrong)
    with pytest.raises(VgzooError, match="is a grey"):
        edit.ChromaKey("#808080")


def test_a_vignette_darkens_the_corners_alone():
    white = np.full((1, 31, 31, 1), 255, "uint8")
    dark = numpy(edit.Vignette(1, radius=0.3, softness=0.6)(white))[0, ..., 0]
    assert (
        dark[15, 15] == 255 and dark[0, 0] < 10 and (np.diff(dark[15, 15:].astype(int)) <= 0).all()
    )
    np.testing.assert_array_equal(dark, dark[::-1, ::-1])

"""Ten edits in vgzoo beside kornia, plain PyTorch and OpenCV: frames/s in one run.

Every side takes and gives uint8. Tensors: vgzoo's layer in a `tf.function`, as inside `tf.data`,
against kornia's function and against the same written with torch alone, as torchvision does it,
both on (T, C, H, W) and in `inference_mode`. Files: the way that a file's frames go, against a
plain loop over OpenCV's function. What the sides make is compared before anything is timed.
"""

import argparse
import json
import os

import cv2
import kornia
import numpy as np
import torch
from torch.nn import functional as F
from turns import median_seconds, sides

LUMA = (0.2126, 0.7152, 0.0722)
CORNERS = [[0.1, 0.05], [0.9, 0.2], [0.8, 0.95], [0.0, 0.7]]
EDITS = {
    "exposure": {"stops": 0.5},
    "contrast": {"factor": 1.4},
    "saturation": {"factor": 1.4},
    "sepia": {},
    "blur": {"sigma": 2.0},
    "sharpen": {"amount": 1.0, "sigma": 1.0},
    "median": {"radius": 1},
    "resize": {"height": 128, "width": 128, "method": "linear"},
    "rotate": {"degrees": 15.0},
    "perspective": {"corners": CORNERS},
}
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], "float32")


class Vgzoo:
    def __init__(self, threads: int):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        cv2.setNumThreads(threads)
        from vgzoo import edit

        self.layers = {name: edit.build(name, **settings) for name, settings in EDITS.items()}
        self.tensors = {n: tf.function(layer, autograph=False) for n, layer in self.layers.items()}

    def load(self, clip: np.ndarray) -> None:
        import tensorflow as tf

        self.clip, self.tensor = clip, tf.constant(clip)

    def tensor_way(self, name: str, give: bool = False):
        made = self.tensors[name](self.tensor).numpy()
        return made if give else None

    def file_way(self, name: str, give: bool = False):
        made = self.layers[name].host(self.clip)
        return made if give else None


class PyTorch:
    def __init__(self, threads: int):
        torch.set_num_threads(threads)

    def load(self, clip: np.ndarray) -> None:
        self.clip = torch.from_numpy(clip).permute(0, 3, 1, 2).contiguous()

    def run(self, way: str, name: str, give: bool = False):
        with torch.inference_mode():
            x = globals()[f"{way}_{name}"](self.clip.float() / 255)
            made = (x * 255).round().clamp(0, 255).byte()
        return made.permute(0, 2, 3, 1).numpy() if give else None


class OpenCV:
    def __init__(self, threads: int):
        cv2.setNumThreads(threads)

    def load(self, clip: np.ndarray) -> None:
        self.clip = clip

    def run(self, name: str, give: bool = False):
        function = globals()[f"opencv_{name}"]()
        made = np.stack([function(frame) for frame in self.clip])
        return made if give else None


# -- plain PyTorch -------------------------------------------------------------------------


def torch_exposure(x):
    linear = torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) * 2**0.5
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def torch_contrast(x):
    return (x - 0.5) * 1.4 + 0.5


def torch_saturation(x):
    grey = (x * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    return grey + (x - grey) * 1.4


def torch_sepia(x):
    return torch.einsum("oc,tchw->tohw", torch.from_numpy(SEPIA), x)


def torch_blur(x, sigma=2.0):
    radius = int(np.ceil(3 * sigma))
    bell = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    bell = (bell / bell.sum()).expand(3, 1, 1, -1)
    x = F.pad(x, (radius,) * 4, mode="reflect")
    x = F.conv2d(x, bell, groups=3)
    return F.conv2d(x, bell.transpose(2, 3), groups=3)


def torch_sharpen(x):
    return x + (x - torch_blur(x, 1.0))


def torch_median(x):
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    height, width = x.shape[2:]
    near = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.stack(near).median(dim=0).values


def torch_resize(x):
    return F.interpolate(x, (128, 128), mode="bilinear", align_corners=False)


def torch_rotate(x):
    angle = np.deg2rad(15.0)
    theta = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    grid = F.affine_grid(theta.float().expand(len(x), -1, -1), x.shape, align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)


def torch_perspective(x):
    height, width = x.shape[2:]
    y, x_ = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    matrix = torch.from_numpy(np.linalg.inv(_homography(height, width))).float()
    place = torch.stack([x_, y, torch.ones_like(y)], -1).float() @ matrix.T
    place = place[..., :2] / place[..., 2:] / torch.tensor([(width - 1) / 2, (height - 1) / 2]) - 1
    return F.grid_sample(x, place.expand(len(x), -1, -1, -1), align_corners=True)


def _homography(height: int, width: int) -> np.ndarray:
    size = np.array([width - 1, height - 1], "float32")
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], "float32")
    return cv2.getPerspectiveTransform(corners * size, np.array(CORNERS, "float32") * size)


# -- kornia --------------------------------------------------------------------------------


def kornia_contrast(x):
    return kornia.enhance.adjust_contrast(x, 1.4)  # around black; the work is the same


def kornia_saturation(x):
    return kornia.enhance.adjust_saturation_with_gray_subtraction(x, 1.4)


def kornia_sepia(x):
    return kornia.color.sepia(x, rescale=False)


def kornia_blur(x):
    return kornia.filters.gaussian_blur2d(x, (13, 13), (2.0, 2.0))


def kornia_sharpen(x):
    return kornia.filters.unsharp_mask(x, (7, 7), (1.0, 1.0))


def kornia_median(x):
    return kornia.filters.median_blur(x, 3)


def kornia_resize(x):
    return kornia.geometry.resize(x, (128, 128))


def kornia_rotate(x):
    return kornia.geometry.rotate(x, torch.full((len(x),), 15.0))


def kornia_perspective(x):
    matrix = torch.from_numpy(_homography(*x.shape[2:])).float().expand(len(x), -1, -1)
    return kornia.geometry.warp_perspective(x, matrix, tuple(x.shape[2:]), align_corners=True)


# -- OpenCV --------------------------------------------------------------------------------


def opencv_exposure():
    table = torch_exposure(torch.arange(256) / 255).mul(255).round().byte().numpy()
    return lambda frame: cv2.LUT(frame, table)


def opencv_contrast():
    table = ((np.arange(256) - 127.5) * 1.4 + 127.5).round().clip(0, 255).astype("uint8")
    return lambda frame: cv2.LUT(frame, table)


def opencv_saturation():
    matrix = 1.4 * np.eye(3) - 0.4 * np.tile(LUMA, (3, 1))
    return lambda frame: cv2.transform(frame, matrix)


def opencv_sepia():
    return lambda frame: cv2.transform(frame, SEPIA)


def opencv_blur():
    return lambda frame: cv2.GaussianBlur(frame, (13, 13), 2)


def opencv_sharpen():
    return lambda frame: cv2.addWeighted(frame, 2, cv2.GaussianBlur(frame, (7, 7), 1), -1, 0)


def opencv_median():
    return lambda frame: cv2.medianBlur(frame, 3)


def opencv_resize():
    return lambda frame: cv2.resize(frame, (128, 128), interpolation=cv2.INTER_LINEAR)


def opencv_rotate():
    def rotate(frame):
        height, width = frame.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 15, 1)
        return cv2.warpAffine(frame, matrix, (width, height))

    return rotate


def opencv_perspective():
    return lambda f: cv2.warpPerspective(f, _homography(*f.shape[:2]), f.shape[1::-1])


def check(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Inside, where no border counts, nearly all levels are the same to two."""
    inner = (slice(None), *(slice(s // 4, -(s // 4)) for s in ours.shape[1:3]))
    apart = np.abs(ours[inner].astype(int) - theirs[inner])
    if np.quantile(apart, 0.99) > 2:
        raise SystemExit(f"{name}: the two do not make the same")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    one = (options.threads,)
    tell = sides(vgzoo=(Vgzoo, *one), pytorch=(PyTorch, *one), opencv=(OpenCV, *one))
    noise = np.random.default_rng(0).integers(
        0, 256, (options.frames, options.size, options.size, 3), "uint8"
    )
    clip = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in noise])
    clip = ((clip.astype("float32") - 128) * 4 + 128).clip(0, 255).astype("uint8")
    for side in tell.values():
        side("load", clip)
    report = {}
    for name in EDITS:
        ways = [way for way in ("kornia", "torch") if f"{way}_{name}" in globals()]
        made = tell["vgzoo"]("tensor_way", name, True)[1]
        for way in ways:
            if (way, name) not in {("kornia", "contrast"), ("kornia", "saturation")}:
                check(f"{way} {name}", made, tell["pytorch"]("run", way, name, True)[1])
        check(f"opencv {name}", made, tell["opencv"]("run", name, True)[1])
        row = {}
        for way in ways:
            messages = {"vgzoo": ("tensor_way", name), "pytorch": ("run", way, name)}
            seconds = median_seconds(tell, messages, options.repeats)
            row["tensor"] = options.frames / seconds["vgzoo"]
            row[way] = options.frames / seconds["pytorch"]
            row[f"tensor_over_{way}"] = seconds["pytorch"] / seconds["vgzoo"]
        messages = {"vgzoo": ("file_way", name), "opencv": ("run", name)}
        seconds = median_seconds(tell, messages, options.repeats)
        row["file"], row["opencv"] = (options.frames / seconds[k] for k in ("vgzoo", "opencv"))
        row["file_over_opencv"] = seconds["opencv"] / seconds["vgzoo"]
        report[name] = row
    if options.json:
        print(json.dumps(vars(options) | {"frames_per_s": report}, indent=2))
        return
    print(f"{'frames/s':12} tensor  kornia       torch        file  opencv")
    for name, row in report.items():
        cells = [f"{row['tensor']:7.0f}"]
        for way in ("kornia", "torch"):
            ratio = row.get(f"tensor_over_{way}")
            cells.append(f"{row[way]:7.0f} {ratio:4.1f}×" if ratio else " " * 13)
        cells += [f"{row['file']:7.0f}", f"{row['opencv']:7.0f} {row['file_over_opencv']:4.2f}×"]
        print(f"{name:12}" + " ".join(cells))


if __name__ == "__main__":
    main()

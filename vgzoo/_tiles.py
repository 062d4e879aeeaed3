"""Clips as pictures: enlarged by a whole number, side by side as tiles."""

from collections.abc import Iterator

import numpy as np

SHORT_SIDE = 128  # smaller frames are enlarged until their shorter side has this many pixels
EDGE, EDGE_WIDTH = 64, 2  # the grey and the pixels of the lines between tiles


def auto_scale(suffix: str, height: int, width: int, rows: int = 1, columns: int = 1) -> int:
    """The least enlargement that shows small frames well; even where H.264 needs it."""
    scale = max(1, -(-SHORT_SIDE // min(height, width)))
    odd = scale * height * rows % 2 or scale * width * columns % 2
    return scale + 1 if odd and suffix == ".mp4" else scale


def enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel (..., H, W, C) as a square of `scale` pixels."""
    return pixels.repeat(scale, -3).repeat(scale, -2)


def pictures(clips: np.ndarray, scale: int, columns: int, edge: int = EDGE) -> Iterator[np.ndarray]:
    """One picture (H, W, C) a frame: the batch as tiles with thin lines between them."""
    count, length, height, width, channels = clips.shape
    height, width = height * scale, width * scale
    down, right = height + EDGE_WIDTH, width + EDGE_WIDTH
    rows = -(-count // columns)
    size = (rows * down - EDGE_WIDTH, columns * right - EDGE_WIDTH, channels)
    for time in range(length):
        picture = np.full(size, edge, np.uint8)
        for index in range(count):
            top, left = index // columns * down, index % columns * right
            tile = enlarged(clips[index, time], scale)
            picture[top : top + height, left : left + width] = tile
        yield picture

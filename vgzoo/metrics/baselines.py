"""What is done to frames without a trained network: the bar for one that edits them.

All take and give uint8 clips `(T, H, W, 3)`; OpenCV does the work.
"""

import numpy as np

from vgzoo.edit.base import opencv

STRENGTHS = (2, 4, 6, 8, 10, 14, 18, 24, 30)  # of non-local means
_RADIUS = 3  # of Telea's neighbourhood, pixels


def enlarged(clip: np.ndarray, factor: int, method: str) -> np.ndarray:
    """Frames enlarged by OpenCV's "cubic" or "lanczos" interpolation."""
    cv2 = opencv()
    flag = {"cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}[method]
    size = clip.shape[2] * factor, clip.shape[1] * factor
    return np.stack([cv2.resize(frame, size, interpolation=flag) for frame in clip])


def nonlocal_means(clip: np.ndarray, strength: float) -> np.ndarray:
    """Each frame less its noise (Buades et al. 2005), as `fastNlMeansDenoisingColored` does it."""
    cv2 = opencv()
    return np.stack(
        [cv2.fastNlMeansDenoisingColored(frame, None, strength, strength, 5, 15) for frame in clip]
    )


def telea(clip: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Holes `(T, H, W)` filled from their rims (Telea 2004)."""
    cv2 = opencv()
    return np.stack(
        [
            cv2.inpaint(frame, hole.astype("uint8"), _RADIUS, cv2.INPAINT_TELEA)
            for frame, hole in zip(clip, holes, strict=True)
        ]
    )


def temporal_median(clip: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Holes filled with the median of what other frames show there; by `telea` where none does."""
    seen = np.ma.array(clip, mask=np.repeat(holes[..., None], 3, axis=-1))
    median = np.ma.median(seen.astype("float32"), axis=0)
    known = ~np.ma.getmaskarray(median).any(axis=-1)
    made = np.where(known[..., None], median.filled(0), telea(clip, holes))
    return np.where(holes[..., None], made.round(), clip).astype("uint8")


def blended(clip: np.ndarray, factor: int) -> np.ndarray:
    """Frames between others, as their mean by time: `(factor · (T - 1) + 1, H, W, 3)`."""
    return _between(clip, factor, lambda first, last, share: (1 - share) * first + share * last)


def flowed(clip: np.ndarray, factor: int) -> np.ndarray:
    """Frames between others, fetched along OpenCV's DIS flow (Kroeger et al. 2016) from both."""
    cv2 = opencv()
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = clip.shape[1:3]
    x, y = np.meshgrid(np.arange(width, dtype="float32"), np.arange(height, dtype="float32"))

    def fetched(frame: np.ndarray, flow: np.ndarray, share: float) -> np.ndarray:
        there = x + share * flow[..., 0], y + share * flow[..., 1]
        return cv2.remap(frame, *there, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)

    def made(first: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
        grey = [cv2.cvtColor(frame.astype("uint8"), cv2.COLOR_RGB2GRAY) for frame in (first, last)]
        ahead, back = dis.calc(*grey, None), dis.calc(*grey[::-1], None)
        # What lies between is taken to move as what lies at its place.
        before, behind = fetched(first, -share * ahead, 1), fetched(last, -(1 - share) * back, 1)
        return (1 - share) * before + share * behind

    return _between(clip, factor, made)


def _between(clip: np.ndarray, factor: int, make) -> np.ndarray:
    made = np.repeat(clip, factor, axis=0)[: factor * (len(clip) - 1) + 1]
    frames = clip.astype("float32")
    for t in range(len(made)):
        i, rest = divmod(t, factor)
        if rest:
            made[t] = make(frames[i], frames[i + 1], rest / factor).round().clip(0, 255)
    return made

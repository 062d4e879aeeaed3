"""How frames change along their motion: what `WarpError` and `TemporalFlicker` share."""

from typing import Any

import numpy as np
from keras import ops

from vgzoo.errors import VgzooError
from vgzoo.layers.warp import warp
from vgzoo.metrics.base import MeanMetric, unit_clips


class MotionMetric(MeanMetric):
    """Mean change from a frame to the next over what stays visible, then over frames and clips."""

    counted = "clips with anything visible in two frames"

    def add_changes(self, change: np.ndarray, visible: np.ndarray) -> None:
        """Counts `change` `(B, T-1, H, W, C)` where `visible` `(B, T-1, H, W)`."""
        seen = visible.sum(axis=(2, 3))  # (B, T-1)
        totals = (change.mean(axis=-1) * visible).sum(axis=(2, 3))
        pairs = np.divide(totals, seen, out=np.zeros_like(totals), where=seen > 0)
        # A pair of frames that have nothing in common says nothing, and a 0 would flatter.
        counted = (seen > 0).sum(axis=1)
        clips = pairs.sum(axis=1)[counted > 0] / counted[counted > 0]
        self.add(clips.sum(), clips.size)


def differences(clips: Any, flow: Any, visible: Any) -> tuple[np.ndarray, np.ndarray]:
    """Each next frame, fetched along the flow, less the frame itself; and where that counts.

    Args:
        clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], two frames at least.
        flow: `(B, T-1, H, W, 2)`, (dx, dy) in pixels from each frame to the next; None for none.
        visible: `(B, T-1, H, W)`, 1 where the content of a frame is visible in the next, else 0;
            None for everywhere. What leaves the frame never counts.

    Returns:
        float64 `(B, T-1, H, W, C)` and float64 `(B, T-1, H, W)`.

    Raises:
        VideoError: an array that is no clip.
        VgzooError: a single frame; flow or mask of another shape, or of impossible values.
    """
    clips = unit_clips(clips)
    batch, frames, height, width, channels = clips.shape
    if frames < 2:
        raise VgzooError("a clip of 1 frame came; wanted at least 2, to compare each with the next")
    space = (batch, frames - 1, height, width)
    now, later = clips[:, :-1], clips[:, 1:]
    seen = np.ones(space) if visible is None else _mask(visible, space)
    if flow is None:
        return later - now, seen
    flow = _flow(flow, space)
    fetched, inside = warp(
        ops.convert_to_tensor(later.reshape(-1, height, width, channels).astype("float32")),
        ops.convert_to_tensor(flow.reshape(-1, height, width, 2)),
    )
    fetched = ops.convert_to_numpy(fetched).reshape(now.shape)
    return fetched - now, seen * ops.convert_to_numpy(inside).reshape(space)


def _flow(flow: Any, space: tuple[int, ...]) -> np.ndarray:
    flow = np.asarray(flow, "float32")
    flow = flow[None] if flow.ndim == 4 else flow
    if flow.shape != (*space, 2):
        raise VgzooError(
            f"flow of shape {flow.shape} came; wanted {(*space, 2)}: (dx, dy) for every frame "
            "but the last"
        )
    if not np.isfinite(flow).all():
        raise VgzooError("the flow holds NaN or infinite values; wanted pixels, and a mask")
    return flow


def _mask(visible: Any, space: tuple[int, ...]) -> np.ndarray:
    visible = np.asarray(visible, "float64")
    if visible.size == np.prod(space) and visible.shape[-1] == 1:
        visible = visible[..., 0]
    visible = visible[None] if visible.ndim == 3 else visible
    if visible.shape != space:
        raise VgzooError(
            f"a visibility mask of shape {visible.shape} came; wanted {space}: one value for every "
            "pixel of every frame but the last"
        )
    if not np.isin(visible, (0, 1)).all():
        raise VgzooError("the visibility mask holds other values than 0 and 1; compare it first")
    return visible

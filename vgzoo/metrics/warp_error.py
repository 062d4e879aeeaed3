"""Warp error: how far a clip is from moving as its scene does.

Lai et al. 2018, "Learning Blind Video Temporal Consistency" (arXiv 1808.00449): each next frame is
warped back along the flow of the unedited clip, and the squared difference to the frame is averaged
over the pixels that stay visible, over the frames and over the clips. They estimate flow and
occlusion; here they come exact, from the camera that made the clip. Bilinear lookup alone has an
error, so the figure of the unedited clip belongs beside that of the edit.
"""

from typing import Any

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.motion import MotionMetric, differences


@keras.saving.register_keras_serializable("vgzoo")
class WarpError(MotionMetric):
    """Mean squared change along the motion, pixels in [0, 1]; less is better.

    Args:
        name: of the metric.

    Example:

    >>> clip = np.zeros((1, 3, 8, 8, 1))
    >>> for t in range(3):
    ...     clip[0, t, 2, 2 + t] = 1  # a dot that moves to the right
    >>> flow = np.zeros((1, 2, 8, 8, 2)) + (1, 0)
    >>> WarpError()(clip, flow), round(WarpError()(clip, flow * 0), 5)
    (0.0, 0.03125)
    """

    def __init__(self, name: str = "warp_error"):
        super().__init__(name)

    def update_state(self, clips: Any, flow: Any, visible: Any = None) -> None:
        """Takes clips with the flow they should move by.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], two frames at least.
            flow: `(B, T-1, H, W, 2)`: what is at (x, y) in frame t is at (x + dx, y + dy) in frame
                t + 1.
            visible: `(B, T-1, H, W)`, 1 where it is visible there, else 0; None for everywhere
                within the frame.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: a single frame; flow or mask of another shape, or of impossible values.
        """
        if flow is None:
            raise VgzooError("WarpError needs the flow: without it, use TemporalFlicker")
        change, counts = differences(clips, flow, visible)
        self.add_changes(np.square(change), counts)

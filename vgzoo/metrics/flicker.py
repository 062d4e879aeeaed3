"""Temporal flicker: how much brightness changes from one frame to the next.

The mean absolute difference of neighbouring frames, as VBench (Huang et al. 2023, arXiv 2311.17982,
"temporal flickering"; its score is one minus this) takes it of clips that stand still. With the
flow of the unedited clip the motion is taken out first, so that clips that move can be judged too.
The figure of the unedited clip belongs beside that of the edit.
"""

from typing import Any

import keras
import numpy as np

from vgzoo.metrics.motion import MotionMetric, differences


@keras.saving.register_keras_serializable("vgzoo")
class TemporalFlicker(MotionMetric):
    """Mean absolute change from frame to frame, pixels in [0, 1]; less is better.

    Args:
        name: of the metric.

    Example:

    >>> clip = np.zeros((1, 4, 8, 8, 1))
    >>> clip[:, ::2] = 0.5  # every other frame is brighter
    >>> TemporalFlicker()(clip)
    0.5
    """

    def __init__(self, name: str = "temporal_flicker"):
        super().__init__(name)

    def update_state(self, clips: Any, flow: Any = None, visible: Any = None) -> None:
        """Takes clips, with the flow they should move by where they move.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], two frames at least.
            flow: `(B, T-1, H, W, 2)`: what is at (x, y) in frame t is at (x + dx, y + dy) in frame
                t + 1; None for clips that stand still.
            visible: `(B, T-1, H, W)`, 1 where it is visible there, else 0; None for everywhere
                within the frame.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: a single frame; flow or mask of another shape, or of impossible values.
        """
        change, counts = differences(clips, flow, visible)
        self.add_changes(np.abs(change), counts)

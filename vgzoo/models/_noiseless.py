"""What forecasters without noise share: one future for each clip, and its squared error."""

from typing import ClassVar

from keras import ops


class Noiseless:
    """The part of a deterministic forecaster that is no matter of its network.

    A subclass writes `predicted`: a whole clip `(B, T, H, W, C)` in [-1, 1] → what it foretells of
    its last frames.
    """

    family = "forecaster"
    tasks: ClassVar[tuple[str, ...]] = ("forecast",)
    logged: ClassVar[tuple[str, ...]] = ("frame_mse",)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, 0)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean squared error of what is foretold."""
        clip = self.network_clip(x)
        self.next_noise_step()
        found = ops.cast(self.predicted(clip), "float32")
        truth = ops.cast(clip[:, -found.shape[1] :], "float32")
        loss = ops.mean(ops.square(found - truth))
        ahead = self.frames - self.context
        error = ops.square((found - truth)[:, -ahead:] / 2)  # of pixels in [0, 1], over a frame
        self.track(frame_mse=ops.mean(ops.sum(error, axis=(2, 3, 4))))
        return loss

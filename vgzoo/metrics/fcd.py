"""Fréchet clip distance: FVD's idea, seen through this zoo's own encoder.

Unterthiner et al. 2018 (arXiv 1812.01717) take the Fréchet distance of features of a network that
knows films of people. The clips here are smaller and other than those, so the features are those of
`clip-encoder`, trained on digits and camera movements; its card shows that it ranks known damage.
Figures of two encoders, two N or two clip lengths cannot be compared; the value of real clips
against other real clips belongs beside each.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from vgzoo.metrics.frechet import FrechetDistance

if TYPE_CHECKING:
    from vgzoo.models.clip_encoder import ClipEncoder


@keras.saving.register_keras_serializable("vgzoo")
class FCD(FrechetDistance):
    """Fréchet clip distance between the real and the generated clips so far; less is better.

    Args:
        encoder: a `ClipEncoder`, or what `vgzoo.load` takes to get one.
        name: of the metric.

    Example:

    >>> from vgzoo.models import build
    >>> metric = FCD(build("clip_encoder", stem=4, widths=(4, 4, 4), head=4))
    >>> metric.counts
    (0, 0)
    """

    def __init__(self, encoder: "ClipEncoder | str | Path" = "clip-encoder", *, name: str = "fcd"):
        super().__init__(name)
        given = isinstance(encoder, keras.Model)
        self.source = None if given else str(encoder)
        if not given:
            from vgzoo import hub

            encoder = hub.load(encoder, dtype="float32")
        self.encoder = encoder

    def get_config(self) -> dict:
        return {"encoder": self.source, "name": self.name}

    def update_state(self, real: Any = None, generated: Any = None) -> None:
        """Takes more clips of either kind; they need not be as many.

        Args:
            real: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], grey or RGB; or None.
            generated: likewise.

        Raises:
            VideoError, VgzooError: an array that is no clip, an odd number of frames, or none.
        """
        super().update_state(
            real=None if real is None else self.encoder.features(real),
            generated=None if generated is None else self.encoder.features(generated),
        )

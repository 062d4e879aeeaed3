"""What models share that change a clip they are given: of any length, whole or in part.

Two ways to change a clip along a flow from noise to clips:

- SDEdit (Meng et al. 2021, arXiv 2108.01073): noise is added up to some time, and taken away again
  under other classes. What was finer than the noise is forgotten, but for the paths of things, of a
  model that knows them;
- FlowEdit (Kulikov et al. 2024, arXiv 2412.08629): the clip itself is moved along the difference of
  the velocities under the new classes and under its own, at the same noise. What both agree on, the
  path say, does not move.
"""

import numpy as np
from keras import ops

from vgzoo.errors import VgzooError
from vgzoo.models._filling import check_steps
from vgzoo.models._forecasting import to_uint8
from vgzoo.samplers import ode

METHODS = {"flowedit": 1.0, "sdedit": 0.8}  # and the strength that they take by themselves


class Editing:
    """The part of a `VideoModel` that changes clips.

    A subclass writes `velocities` for one window of `frames` frames, has what `Filling` wants, and
    the `shift` of its sampler's times.
    """

    def velocities(self, clip, known, labels, guidance, kept=()):
        """`(x, time) → dx/dtime` under classes, a clip in [-1, 1] being known in part.

        `kept` is what is to stay as it is in all of it, as the method `kept` says.
        """
        raise self._does_not("edit")

    def kept(self, source, source_labels, labels):
        """What of a clip stays as it is under new labels: for these, and for its own."""
        return (), ()

    def edit(
        self,
        clips,
        *,
        labels=None,
        source_labels=None,
        method: str = "flowedit",
        strength: float | None = None,
        guidance: float = 3.0,
        mask=None,
        seed: int = 0,
        steps: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Change what clips show.

        Clip i depends on itself, its mask, the seed and i alone. Longer clips than those trained
        on are changed window after window, and each goes on from the end of the last one.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], of any length.
            labels: classes to change to, as for `generate`; of none in particular if None.
            source_labels: classes that the clips show, for "flowedit", and to know whose paths are
                to be kept; of none in particular if None.
            method: "flowedit" keeps what the classes have in common, "sdedit" what is coarser than
                the noise.
            strength: share of the way from noise to clip that is gone again, in (0, 1]: 1 keeps
                nothing under "sdedit" but paths, of a model that knows them. If None, 1 for
                "flowedit" and 0.8 for "sdedit".
            guidance: how far the change is pushed away from what no class would make of it; 1 for
                not at all.
            mask: where to change, as for `inpaint`; everywhere if None.
            seed: of the noise, an integer ≥ 0.
            steps: of the whole way; the model's own number if None.
            batch_size: clips at a time; 16 if None.
            verbose: 1 shows a progress bar.

        Returns:
            uint8, of the clips' shape; where the mask is 0, as they came.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: a model that does not edit, frames of another size or kind, a mask that does
                not fit, or an argument out of its range.
        """
        if "edit" not in self.tasks:
            raise self._does_not("edit")
        if method not in METHODS:
            raise VgzooError(f"method must be {' or '.join(METHODS)}, not {method!r}")
        strength = METHODS[method] if strength is None else strength
        if not 0 < strength <= 1:
            raise VgzooError(f"strength must be above 0 and at most 1, not {strength}")
        check_steps(steps)
        steps = self.steps if steps is None else steps
        skip = min(round((1 - strength) * steps), steps - 1)
        plain = [given is None for given in (labels, source_labels)]
        return self.in_windows(
            clips,
            mask,
            self._coder(
                f"edit {method} {steps} {skip} {guidance} {plain}",
                self._editor(method, steps, skip, guidance),
            ),
            labels,
            source_labels,
            seed=seed,
            draws=steps - skip if method == "flowedit" else 1,
            batch_size=batch_size,
            verbose=verbose,
        )

    def _editor(self, method: str, steps: int, skip: int, guidance: float):
        times = ode.shifted(np.linspace(skip / steps, 1, steps - skip + 1), self.shift)
        times = times.astype("float32")

        def run(noise, clip, gap, source, labels, source_labels):
            clip, source = (ops.cast(x, "float32") / 127.5 - 1 for x in (clip, source))
            known = 1 - ops.cast(gap, "float32")
            new, old = self.kept(source, source_labels, labels)
            to = self.velocities(clip, known, labels, guidance, new)
            noise = ops.moveaxis(noise, 2, 0)
            if method == "sdedit":
                start = times[0] * source + (1 - times[0]) * noise[0]
                made = ode.follow(lambda x, time, _: to(x, time), start, times)
            else:
                # What the clip was is known nowhere: where it has been changed, it shows the new.
                nothing = ops.zeros_like(known)
                away = self.velocities(source, nothing, source_labels, 1.0, old)
                made = ode.follow(ode.difference(to, away, source, noise), source, times)
            return to_uint8(known * clip + (1 - known) * made)

        return run

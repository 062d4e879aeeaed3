"""Samples in one evaluation or two: a flow learns where its own guided steps lead in the end.

A consistency model says from anywhere on the way what the end is (Song et al. 2023, arXiv
2303.01469; of guided ways Luo et al. 2023, arXiv 2310.04378). These take the next point of the way
for a teacher, step by step from the end, and hand errors on; here a whole way of few steps, each of
second order, is short enough to be gone for every clip, and its end is the teacher. No derivative
along the way is needed. A flow tells by a vector beside its times whether it is to leap.
"""

import numpy as np
from keras import ops

from vgzoo.samplers import ode

MOST = 4  # leaps: steps of the ways that they are learned from
_SMALL = 0.1  # error of a pixel from which on it counts in proportion, not by its square


class Leaps:
    """The part of a flow that learns leaps.

    A model has `leaps`, evaluations up to which samples are made by leaps, of the same times as
    steps would be; `leap_stride`, every how many clips of a batch they are learned on; and what
    `RFlow` has of parts, guided velocities, how far and how long they are, and shift.
    """

    def _leapt(self, *clips):
        """How far leaps end from where guided steps lead, from several places on the way there."""
        noise, classes, *about = (x[:: self.leap_stride] for x in clips)
        rows = ops.shape(noise)[0]

        def velocity(x, time):
            return self._guided(x, time, classes, self.guidance, *about, until=self.guided)

        way = ode.way(velocity, noise, steps=MOST, shift=self.shift)
        *way, end = (ops.stop_gradient(x) for x in way)
        end = ops.clip(end, -1, 1)
        times = ode.shifted(np.arange(MOST) / MOST, self.shift).astype("float32")
        error = 0.0
        for i in range(0, MOST, MOST // self.leaps):
            time = ops.broadcast_to(times[i], (rows,))
            whole, shown, _ = self._parts(way[i], time, classes, *about, leap=1.0)
            for made in (whole,) if shown is None else (whole, shown):
                away = ops.square((made - end) / _SMALL)
                error = error + ops.mean(ops.sqrt(1 + away) - 1) * _SMALL
        return error / self.leaps

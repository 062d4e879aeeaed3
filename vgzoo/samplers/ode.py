"""From noise to a clip along a flow: times, steps and guidance. Knows no network.

Time goes from 0, noise, to 1, data. A velocity is a function `(x, time) → dx/dtime`.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from vgzoo.errors import VgzooError

SAMPLERS = ("euler", "midpoint", "heun", "multistep")

Velocity = Callable  # (x, time) → dx/dtime


def shifted(share, shift: float):
    """Times after a share of the steps, from 0 to 1: more of them near the noise if shift > 1.

    The timestep shift of Stable Diffusion 3 (Esser et al. 2024, arXiv 2403.03206).
    """
    return share / (share + shift * (1 - share))


def integrate(velocity: Velocity, x, *, steps: int, shift: float = 1.0, sampler: str = "euler"):
    """Follows a velocity from noise to data.

    "multistep" is of second order at one evaluation a step: where a step will lead in the end is
    drawn on along a line through what this step and the one before say of it, to the step's middle
    (after Zhang and Chen 2022, arXiv 2204.13902).

    Args:
        velocity: `(x, time) → dx/dtime`, for a scalar time.
        x: noise.
        steps: evaluations of the velocity, at most: the midpoint rule takes two for a step, and so
            does Heun's, but for its last step, which is Euler's, since a clip has no velocity.
        shift: of the times, see `shifted`.
        sampler: one of `SAMPLERS`.

    Returns:
        What is reached at time 1.

    Raises:
        VgzooError: a sampler that there is not.
    """
    if sampler not in SAMPLERS:
        raise VgzooError(f"no sampler {sampler!r}; there are: {', '.join(SAMPLERS)}")
    sampler = "euler" if steps == 1 else sampler
    if sampler == "multistep":
        step = _second_order(velocity, steps, shift)
        return ops.while_loop(
            lambda i, *_: i < steps,
            lambda i, x, end: (i + 1, *step(i, x, end)),
            (0, x, x),
            maximum_iterations=steps,
        )[1]
    halves = {"euler": steps, "midpoint": max(steps // 2, 1), "heun": (steps + 1) // 2}
    count = halves[sampler]
    times = shifted(np.linspace(0, 1, 2 * count + 1), shift).astype("float32")

    def step(i, x, kind):
        now, middle, after = (ops.take(times, 2 * i + half) for half in range(3))
        slope = velocity(x, now)
        if kind == "midpoint":
            slope = velocity(x + (middle - now) * slope, middle)
        if kind == "heun":
            slope = (slope + velocity(x + (after - now) * slope, after)) / 2
        return x + (after - now) * slope

    last = count - 1 if sampler == "heun" else count
    if last:
        _, x = ops.while_loop(
            lambda i, _: i < last,
            lambda i, x: (i + 1, step(i, x, sampler)),
            (0, x),
            maximum_iterations=last,
        )
    return step(last, x, "euler") if sampler == "heun" else x


def way(velocity: Velocity, x, *, steps: int, shift: float = 1.0) -> list:
    """All that "multistep" goes through: noise, and what each step reaches."""
    step = _second_order(velocity, steps, shift)
    states, end = [x], x
    for i in range(steps):
        x, end = step(i, x, end)
        states.append(x)
    return states


def _second_order(velocity: Velocity, steps: int, shift: float) -> Callable:
    """A step of "multistep", `(i, x, end) → (x, end)`; ends are where the last one seemed to lead.

    What is given for the first step, before which there is none, does not count.
    """
    times = shifted(np.linspace(0, 1, steps + 1), shift)
    lengths = np.diff(times)
    # Nothing lies before the first step; behind the last one there is nothing left to be drawn on.
    onward = np.concatenate([[0], lengths[1:] / lengths[:-1] / 2])
    onward[-1] = 0
    times, onward = times.astype("float32"), onward.astype("float32")

    def step(i, x, before):
        now, after = ops.take(times, i), ops.take(times, i + 1)
        end = x + (1 - now) * velocity(x, now)
        goal = end + ops.take(onward, i) * (end - before)
        return x + (after - now) / (1 - now) * (goal - x), end

    return step


def follow(velocity: Callable, x, times: np.ndarray):
    """Euler's steps along a velocity.

    Args:
        velocity: `(x, time, i) → dx/dtime`, at step i.
        x: where to begin, at the first time.
        times: float32 `(steps + 1,)`, ascending.
    """
    count = len(times) - 1

    def step(i, x):
        now, after = ops.take(times, i), ops.take(times, i + 1)
        return i + 1, x + (after - now) * velocity(x, now, i)

    return ops.while_loop(lambda i, _: i < count, step, (0, x), maximum_iterations=count)[1]


def difference(to: Callable, away: Callable, source, noise):
    """The velocity that takes a source where it would lie under another one (FlowEdit).

    Args:
        to, away: velocities `(x, time) → dx/dtime`, of what is wanted and of what the source is.
        source: at time 1.
        noise: of its shape, some along a first axis, one after another at each step.
    """

    def velocity(x, time, i):
        before = time * source + (1 - time) * ops.take(noise, i, axis=0)
        return to(x + before - source, time) - away(before, time)

    return velocity

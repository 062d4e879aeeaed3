"""How a model that restores fills holes with what other frames show of them.

First it says how each frame that has a hole moved; then what the hole hides is looked for along
that motion (`vgzoo.layers.carrying`); what no frame shows is left for the model to make.
"""

from collections.abc import Callable, Iterator

import numpy as np
from keras import ops

from vgzoo.layers.carrying import REACH, carried, certainty, inner
from vgzoo.layers.fusing import unfused

_RIM = 32  # pixels around a hole, at least, by which it is registered with other frames
_STEP = 32  # windows are whole numbers of this, so that one compiled function serves many


def masked(x):
    """Colour in [0, 1] and where it is known → colour in [-1, 1], 0 where it is not, and that."""
    colour, known = ops.split(x, [3], axis=-1)
    return ops.concatenate([known * (2 * colour - 1), known], axis=-1)


def _unmasked(x):
    """Back to colour in [0, 1]."""
    colour, known = ops.split(x, [3], axis=-1)
    return ops.concatenate([(colour + 1) / 2, known], axis=-1)


def carried_over(seen: np.ndarray, motions: Callable[[list[int]], Iterator]) -> np.ndarray:
    """A clip with its holes filled as far as other frames show what is there.

    Args:
        seen: float32 `(T, H, W, 4)`, colour in [0, 1] and 1 where it is known.
        motions: numbers of frames → for each `(H, W, 4)` in pixels, its motion to the frame before
            and to the one behind.

    Returns:
        As `seen`.
    """
    wanted = [t for t, x in enumerate(seen) if ops.convert_to_numpy(inner(x[None, ..., 3:])).any()]
    near = sorted({u for t in wanted for u in _reached(t, 1, seen) + _reached(t, -1, seen) + [t]})
    leads = {
        u: (motion, ops.convert_to_numpy(certainty(masked(seen[u][None])))[0])
        for u, motion in zip(near, motions(near), strict=True)
    }
    made, windows = seen.copy(), _windows(seen[..., 3] == 0, wanted)
    for t in wanted:
        part = windows[t]
        hole = seen[t][part][..., 3:] == 0
        filled = carried(
            _shown(seen, t, part),
            [_way(seen, leads, t, 1, part), _way(seen, leads, t, -1, part)],
            lambda found, hole=hole: bool((ops.convert_to_numpy(found)[0] > 0)[hole].all()),
            times=len(wanted),
        )
        filled = ops.convert_to_numpy(_unmasked(filled))[0]
        made[t][part] = np.where(hole & (filled[..., 3:] > 0), filled, made[t][part])
    return made


def _reached(t: int, step: int, seen: np.ndarray) -> list[int]:
    """Numbers of the frames on one side of one, the nearest first."""
    return [u for u in range(t + step, t + step * (REACH + 1), step) if 0 <= u < len(seen)]


def _way(seen: np.ndarray, leads: dict, t: int, step: int, part) -> Iterator[tuple]:
    """One of the sides that `carried` looks at, in a part of the frames."""
    half = np.s_[2:] if step > 0 else np.s_[:2]
    for u in _reached(t, step, seen):
        motion, sure = (x[part][None] for x in leads[u - step])
        yield np.concatenate([motion[..., half], sure], axis=-1), _shown(seen, u, part)


def _shown(seen: np.ndarray, t: int, part) -> np.ndarray:
    return ops.convert_to_numpy(masked(seen[t][part][None]))


def carried_tensors(seen, motion):
    """The same of tensors, in one piece.

    Args:
        seen: `(B, T, H, W, 4)`, as for `carried_over`.
        motion: `(B, T, H, W, 4)`, of all frames.
    """
    frames, size = seen.shape[1], seen.shape[2:]
    flat = ops.reshape(masked(seen), (-1, *size))
    motion, sure = ops.reshape(motion, (-1, *size)), certainty(flat)

    def later(x, by: int):
        """That of frames so much later; none where there is none."""
        x = ops.reshape(x, (-1, frames, *x.shape[1:]))
        beyond = abs(by)
        x = ops.pad(x, ((0, 0), (beyond, beyond), (0, 0), (0, 0), (0, 0)))
        return ops.reshape(x[:, beyond + by : beyond + by + frames], (-1, *x.shape[2:]))

    before, behind = (ops.concatenate([x, sure], -1) for x in ops.split(motion, 2, axis=-1))
    sides = [
        [
            (later(lead, step * (k - 1)), later(flat, step * k))
            for k in range(1, min(REACH, frames - 1) + 1)
        ]
        for step, lead in ((1, behind), (-1, before))
    ]
    with unfused():  # so many steps as there are would each be compiled
        filled = carried(flat, sides)
    return ops.reshape(_unmasked(filled), (-1, frames, *size))


def _windows(gap: np.ndarray, wanted: list[int]) -> dict[int, tuple[slice, slice]]:
    """Parts of frames, all of one size, with the hole of each and what surrounds it."""
    boxes = {t: [_ends(gap[t].any(axis=1 - axis)) for axis in (0, 1)] for t in wanted}
    parts: dict[int, list[slice]] = {t: [] for t in wanted}
    for axis, whole in enumerate(gap.shape[1:]):
        widest = max((last - first for first, last in (boxes[t][axis] for t in wanted)), default=0)
        side = widest + 2 * max(_RIM, widest)
        side = min(whole, -(-side // _STEP) * _STEP)
        for t in wanted:
            first, last = boxes[t][axis]
            start = int(np.clip((first + last - side) // 2, 0, whole - side))
            parts[t].append(slice(start, start + side))
    return {t: tuple(part) for t, part in parts.items()}


def _ends(inside: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(inside)
    return int(where[0]), int(where[-1]) + 1

"""What a hole hides, where other frames show it: followed to them along the motion.

In the spirit of flow-guided completion (Xu et al. 2019, "Deep flow-guided video inpainting", arXiv
1905.02884): the motion in a hole is that of a plane that moves as most around it does, and leads
from frame to frame until what is there is seen. On the way what surrounds the hole is registered
anew with each frame, so that errors do not add up, and every pixel is looked up once, so that none
blurs.
"""

from collections.abc import Callable, Iterable, Sequence

from keras import ops

from vgzoo.layers.fusing import fused
from vgzoo.layers.registering import gradient, registered
from vgzoo.layers.surroundings import completed, planar
from vgzoo.layers.warp import fetch, warp

REACH = 8  # frames, before and after, that a hole is filled from
_MISFIT = 0.15  # difference, of values in [-1, 1], of what surrounds a hole, that is often right
_LEAST = 0.1  # trust
_EDGE = 0.1  # gradient, of values in [-1, 1], that says half of what a motion is


def carried(
    frame,
    sides: Sequence[Iterable[tuple]],
    enough: Callable | None = None,
    times: int = 1,
):
    """Frames whose holes are filled with what others show of them, all but a rim of one pixel.

    The rim is left to what joins the two.

    Args:
        frame: `(N, H, W, C)`, of which the last channel is 1 where it is known; else all are 0.
        sides: in which the others lie, for each the way there, the nearest first: pairs of the
            motion from the frame before on the way, `(N, H, W, 3)` in pixels with how sure it is,
            as `certainty` says, and the frame.
        enough: whether what has been seen, `(N, H, W, 1)`, is all; never asked for if None.
        times: how many such frames there are: for many it is compiled.

    Returns:
        As `frame`.
    """
    frame = ops.convert_to_tensor(frame)
    known = frame[..., -1:]
    total, weight = ops.zeros_like(frame), ops.zeros_like(known)
    for way in sides:
        motion, seen = ops.zeros_like(frame[..., :2]), ops.zeros_like(known)
        for k, (lead, other) in enumerate(way, 1):
            now = frame, ops.convert_to_tensor(other), ops.convert_to_tensor(lead), motion
            motion, shown, trust = fused(one_farther, *now, key="farther", times=REACH * times)
            share = (1 - seen) * trust / k**2
            total, weight = total + share * shown, weight + share
            seen = ops.maximum(seen, ops.cast(trust > 0, "float32"))
            if enough and enough(seen):
                break
    found = inner(known) * ops.cast(weight > 0, known.dtype)
    filled = total / ops.where(weight > 0, weight, 1.0)
    filled = ops.concatenate([filled[..., :-1], ops.ones_like(known)], axis=-1)
    return frame + found * (filled - frame)


def inner(known):
    """1 in holes but for their rim, which is a pixel wide."""
    return 1 - ops.max_pool(known, 3, strides=1, padding="same")


def one_farther(frame, other, lead, motion):
    """One frame farther from a frame.

    Args:
        frame, other: it and the one that is reached, as for `carried`.
        lead: motion to that from the one before on the way, and how sure it is.
        motion: from the frame to the one before.

    Returns:
        The motion from the frame to the one reached; that one where the frame has it; and how far
        it is trusted there, `(N, H, W, 1)`: by how well what surrounds a hole fits, and not at all
        where it fits badly or is not known itself.
    """
    lead, sure = ops.split(lead, [2], axis=-1)
    motion = motion + warp(planar(lead, sure), motion)[0]
    motion = registered(frame, other, motion, ops.ones_like(motion[:, 0, 0, :1]))
    motion, known = planar(motion, certainty(frame)), frame[..., -1:]
    shown, inside = fetch(other, motion, 1, sharp=True), warp(other[..., :1], motion)[1]
    there = ops.cast(inside[..., None] & (shown[..., -1:] > 0.999), "float32")
    apart = ops.mean(ops.square(shown - frame)[..., :-1], axis=-1, keepdims=True)
    trust = ops.exp(completed(apart, known * there) / (-2 * _MISFIT**2))
    return motion, shown, there * trust * ops.cast(trust > _LEAST, "float32")


def certainty(frame):
    """How sure the motion of what is shown can be, `(N, H, W, 1)`: not at all in holes, and little
    where all looks the same."""
    colour, known = frame[..., :-1], frame[..., -1:]
    edges = sum(ops.sum(ops.square(gradient(colour, axis)), -1, keepdims=True) for axis in (1, 2))
    # At its rim a hole itself would be taken for an edge.
    edges = edges * (1 - ops.max_pool(1 - known, 3, strides=1, padding="same"))
    edges = ops.average_pool(edges, 5, strides=1, padding="same")
    return known * edges / (edges + _EDGE**2)

"""Neighbours of a frame, fetched to where they lie in it.

From coarse to fine, after SPyNet (Ranjan and Black 2017, arXiv 1611.00850) and the intermediate
flow of RIFE (Huang et al. 2022, arXiv 2011.06294): at each scale the neighbours are fetched along
the motion found so far, and a small network says what is left of it. The frame itself may be
unknown, in part or as a whole: then the neighbours alone say how what lies between them moves. What
little is left then is found without learning, as Lucas and Kanade did
(`vgzoo.layers.registering`). In large frames all of this is also done at half the size first, again
and again, so that what moves by many pixels is found by networks that have only seen small frames;
what is thin is lost there, so each place has the motion along which more fits.

Only pixels are fetched, never features: so no gradient goes into what is looked up, which would be
a slow scatter, and frames of any size are aligned alike.
"""

import functools

from keras import KerasTensor, layers, ops

from vgzoo.layers.fusing import fused
from vgzoo.layers.registering import registered
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky
from vgzoo.layers.warp import each, fetch, warp

_LARGE = 80  # pixels, of a side: more than that of the clips that networks are trained on
_WINDOW = 9  # pixels, of a mean that is taken twice, in which motion has to fit
_MISSING = 0.2  # difference, of values in [-1, 1], that it counts for if no neighbour is in sight


class Aligner(layers.Layer):
    """A frame and its neighbours → the neighbours where the frame has them, and their motion.

    Args:
        count: how many neighbours.
        widths: channels of the networks, from the coarsest scale to half the frame's size.
        blocks: residual blocks of each.
    """

    def __init__(self, count: int, widths: tuple[int, ...], blocks: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)
        values = 2 * (1 + count)  # of the motion that all share, and of each one's own

        def convs(name: str, filters: list[int], start) -> list[layers.Layer]:
            return [
                layers.Conv2D(n, 3, padding="same", kernel_initializer=start, name=f"{name}_{i}")
                for i, n in enumerate(filters)
            ]

        self.enter = convs("enter", list(widths), he_normal())
        self.blocks = [
            [Block(width, time=False, styled=True, name=f"block_{i}_{j}") for j in range(depth)]
            for i, (width, depth) in enumerate(zip(widths, blocks, strict=True))
        ]
        # Each network says the motion at twice its own scale.
        self.leave = convs("leave", [4 * values] * len(widths), "zeros")

    def build(self, frame_shape, neighbours_shape, offsets_shape, style_shape):
        # Scale by scale: to trace all of `call` for it, with its lookups, would take seconds.
        _, count, _, _, channels = neighbours_shape
        style = KerasTensor(style_shape)
        for i, (enter, blocks, leave) in enumerate(self._scales()):
            values = channels * (1 + count) + count + 2 * count * (i > 0)
            x = enter(KerasTensor((1, *frame_shape[1:3], values)))
            for block in blocks:
                x = block(x, style=style)
            leave(x)

    def _scales(self):
        """The networks, from the coarsest scale on: layers in, blocks, layers out."""
        return zip(self.enter, self.blocks, self.leave, strict=True)

    def call(self, frame, neighbours, offsets, style):
        """→ fetched neighbours `(B, H, W, K·C)`, the motion `(B, H, W, K·2)` in pixels.

        Args:
            frame: `(B, H, W, C)`, sides multiples of `2 ** len(widths)`; 0 where it is unknown.
            neighbours: `(B, K, H, W, C)`. Their last channel and the frame's is 1 where a pixel is
                known, and where it is 0 so are the others.
            offsets: `(B, K)`, how many frames later each one is, negative if earlier.
            style: `(B, ·)`.
        """
        _, count, height, width, channels = neighbours.shape
        flat = ops.reshape(neighbours, (-1, height, width, channels))
        motion = self._found(frame, flat, ops.cast(offsets, frame.dtype), style)
        fetched = fused(functools.partial(fetch, count=count, sharp=True), flat, motion)
        return self._beside(fetched, count), motion

    def _found(self, frame, flat, offsets, style):
        """The motion, of large frames that found here or at half their size, whichever fits."""
        height, width = frame.shape[1:3]
        near = registered(frame, flat, self._learned(frame, flat, offsets, style), offsets)
        if min(height, width) < _LARGE:
            return near
        cell = 2 ** len(self.enter)
        halves = (whole(ops.average_pool(x, 2, strides=2), cell) for x in (frame, flat))
        motion = doubled(2 * self._found(*halves, offsets, style))[:, :height, :width]
        # What is left once neighbours are where they seem to be is no more than in small frames.
        count = offsets.shape[1]
        rest = self._learned(frame, fetch(flat, motion, count), offsets, style)
        motion, _ = warp(each(motion, count), each(rest, count))
        far = registered(frame, flat, rest + self._beside(motion, count), offsets)
        far_off, near_off = (fused(_misfit, frame, flat, x, offsets) for x in (far, near))
        return ops.where(far_off < near_off, far, near)

    def _learned(self, frame, flat, offsets, style):
        """The motion that the networks find."""
        count = offsets.shape[1]
        motion, fetched = None, functools.partial(fetch, count=count)
        for i, (enter, blocks, leave) in enumerate(self._scales()):
            scale = 2 ** (len(self.enter) - i)
            small = ops.average_pool(flat, scale, strides=scale)
            if i:
                small = fused(fetched, small, motion / scale)
            x = [ops.average_pool(frame, scale, strides=scale)]
            x += [self._beside(small, count)]
            x += [ops.zeros_like(x[0][..., :1]) + offsets[:, None, None] / 4]
            if i:
                x += [ops.cast(motion / 8, frame.dtype)]
            x = enter(ops.concatenate(x, axis=-1))
            for block in blocks:
                x = block(x, style=style)
            rest = scale * self._rest(depth_to_space(leave(leaky(x)), 2), offsets, count)
            motion = rest + doubled(motion) if i else rest
        return motion

    @staticmethod
    def _rest(x, offsets, count: int):
        """What the network says: a motion of all, times each one's offset, and each one's own."""
        shared, own = ops.split(ops.cast(x, "float32"), [2], axis=-1)
        times = ops.cast(ops.repeat(offsets, 2, axis=1), "float32")[:, None, None]
        return ops.concatenate([shared] * count, axis=-1) * times + own

    @staticmethod
    def _beside(x, count: int):
        """`(B·K, H, W, C)` → `(B, H, W, K·C)`."""
        _, height, width, channels = x.shape
        x = ops.transpose(ops.reshape(x, (-1, count, height, width, channels)), (0, 2, 3, 1, 4))
        return ops.reshape(x, (-1, height, width, count * channels))


def _misfit(frame, flat, motion, offsets):
    """How far neighbours, the nearer the more, differ from a frame, or each other: `(B, H, W, 1)`.

    Args:
        frame, flat, motion, offsets: as for `registered`.
    """
    frame, flat, offsets = (ops.cast(x, "float32") for x in (frame, flat, offsets))
    count, closeness = offsets.shape[1], 1 / ops.square(offsets)[:, :, None, None, None]
    shown = ops.reshape(fetch(flat, motion, count), (-1, count, *frame.shape[1:]))
    colour, there = ops.split(shown, [frame.shape[-1] - 1], axis=-1)
    true, known = ops.split(frame, [frame.shape[-1] - 1], axis=-1)
    # Where the frame is unknown the nearest neighbours stand for it.
    nearest = ops.cast(ops.abs(offsets) < 1.5, "float32")[:, :, None, None, None] * there
    mean = ops.sum(nearest * colour, axis=1) / (ops.sum(nearest, axis=1) + 1e-3)
    true = known * true + (1 - known) * mean
    apart = ops.mean(ops.abs(colour - true[:, None]), axis=-1, keepdims=True)
    total = ops.sum(closeness * there, axis=1)
    apart = ops.sum(closeness * there * apart, axis=1) / (total + 1e-3)
    apart = apart + _MISSING * (1 - ops.minimum(total, 1.0))
    for window in ((_WINDOW, 1), (1, _WINDOW)) * 2:
        apart = ops.average_pool(apart, window, strides=1, padding="same")
    return apart


def whole(x, cell: int):
    """Frames `(…, H, W, C)` whose sides are multiples of a number, by their last lines."""
    for axis in (-3, -2):
        if missing := -x.shape[axis] % cell:
            last = ops.split(x, [x.shape[axis] - 1], axis=axis)[1]
            x = ops.concatenate([x] + [last] * missing, axis=axis)
    return x


def doubled(x):
    """Each pixel as 2×2."""
    _, height, width, channels = x.shape
    x = ops.reshape(ops.concatenate([x, x], axis=-1), (-1, height, 2 * width * channels))
    return ops.reshape(ops.concatenate([x, x], axis=-1), (-1, 2 * height, 2 * width, channels))


def motions(flow, at: int):
    """How far what is at each pixel of one frame has moved in every other.

    Args:
        flow: `(B, T-1, H, W, 2)`, from each frame to the next, in pixels.
        at: number of the frame.

    Returns:
        `(B, T, H, W, 2)`.
    """
    steps = ops.unstack(flow, axis=1)

    def lookup(step: int, motion):
        return warp(steps[step], motion)[0]

    nowhere = ops.zeros_like(steps[0])
    after, before = [nowhere], [nowhere]
    for step in range(at, len(steps)):
        after.append(after[-1] + lookup(step, after[-1]))
    for step in range(at - 1, -1, -1):
        # Back to the place that the flow leads from: a fixed point, near for motion that is smooth.
        back = before[-1]
        for _ in range(3):
            back = before[-1] - lookup(step, back)
        before.append(back)
    return ops.stack([*before[:0:-1], *after], axis=1)

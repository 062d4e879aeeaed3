"""A restorer: one network that cleans, enlarges, colours, completes and interpolates clips.

Each frame is made of itself and of four neighbours, which are first fetched to where they lie in it
(`vgzoo.layers.aligning`), as in the windowed networks of EDVR (Wang et al. 2019, arXiv 1905.02716)
and, where the frame itself is missing, in RIFE (Huang et al. 2022, arXiv 2011.06294). What comes
out is a mean of the five, by weights of each pixel, and what a U-Net adds to it. Which pixels are
known is told to the network, so that a hole, a frame that is not there and neighbours beyond the
clip's end are all the same to it: one network serves all tasks, and hears which one by its style.
What no frame shows goes in as a membrane over what surrounds it: there is less left to be made than
of nothing, and skies stay smooth.

It trains on clean clips, which it damages itself (`vgzoo.layers.damage`), on the logarithm of the
squared error, so that hard tasks do not drown easy ones; where the optical flow is known, that is
learned too. All of it is convolutions and lookups, so frames of any size go through, in tiles.
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers import damage
from vgzoo.layers.aligning import Aligner, motions
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, space_to_depth
from vgzoo.layers.surroundings import completed
from vgzoo.models._completing import masked
from vgzoo.models._restoring import BETWEEN, KIND, NEAR, Restoring
from vgzoo.models.base import VideoModel, register
from vgzoo.optimizers import Muon

_COARSER = 4  # the flow is learned from means of so many pixels each way
_FLOW = 0.05  # what a pixel of misplaced motion counts
_LEAST = 2.5e-5  # squared error, below which no clip counts more
_SHARES = 3, 1, 1, 3, 1, 2  # how often each of `damage.KINDS` is trained on
_ROUNDS = 8  # of what makes a membrane of what no frame shows
_MISSING = 0.1  # share of the clips whose neighbours before, behind or farther off are missing


class UNet(layers.Layer):
    """`(B, H, W, C)` and styles → `(B, H, W, filters)`, sides multiples of `2 ** len(widths)`.

    Args:
        filters: values of a pixel.
        widths: channels at half the frame's size, at a quarter of it, …
        blocks: residual blocks at each of these; but at the last, as many on the way up again.
    """

    def __init__(self, filters: int, widths: tuple[int, ...], blocks: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)

        def level(way: str, i: int) -> list[Block]:
            return [
                Block(widths[i], time=False, styled=True, name=f"{way}_{i}_{j}")
                for j in range(blocks[i])
            ]

        last = len(widths) - 1
        self.enter = _conv(widths[0], "enter", he_normal())
        self.down = [level("down", i) for i in range(last + 1)]
        self.up = [level("up", i) for i in range(last)]
        self.narrow = [layers.Dense(widths[i + 1], name=f"narrow_{i}") for i in range(last)]
        self.widen = [layers.Dense(4 * widths[i], name=f"widen_{i}") for i in range(last)]
        self.leave = _conv(4 * filters, "leave", "zeros")

    def call(self, x, style):
        x, kept = self.enter(space_to_depth(x, 2)), []
        for i, blocks in enumerate(self.down):
            if i:
                kept.append(x)
                x = self.narrow[i - 1](space_to_depth(x, 2))
            for block in blocks:
                x = block(x, style=style)
        for blocks, widen in zip(reversed(self.up), reversed(self.widen), strict=True):
            x = kept.pop() + depth_to_space(widen(x), 2)
            for block in blocks:
                x = block(x, style=style)
        return depth_to_space(self.leave(leaky(x)), 2)


@register
class Restorer(Restoring, VideoModel):
    """A network that edits clips; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`, of the clips trained on; 13
            frames in colour, sides multiples of 8.
        motion_widths, motion_blocks: of the networks that align, as for `Aligner`, three of each.
        widths, blocks: of the U-Net, three of each.
        style: length of what tells the task.

    Example:

    >>> model = Restorer(height=16, width=16, motion_widths=(8, 8, 8), widths=(8, 8, 8), style=8)
    >>> clip = np.zeros((5, 12, 20, 3), "uint8")
    >>> model.edit(clip, method="superresolve", factor=2).shape
    (5, 24, 40, 3)
    >>> model.interpolate(clip, 2).shape
    (9, 12, 20, 3)
    """

    family = "editor"
    tasks = ("restore", "superresolve", "inpaint", "colorize", "interpolate")
    references = (
        "arXiv:1905.02716",
        "arXiv:2011.06294",
        "arXiv:1611.00850",
    )
    logged = ("psnr", "motion_error")
    side_step = 8
    learns_from_flow = True

    def __init__(
        self,
        *,
        frames: int = 13,
        height: int = 64,
        width: int = 64,
        channels: int = 3,
        seed: int = 0,
        motion_widths: tuple[int, ...] = (96, 64, 32),
        motion_blocks: tuple[int, ...] = (2, 2, 1),
        widths: tuple[int, ...] = (48, 96, 128),
        blocks: tuple[int, ...] = (1, 1, 2),
        style: int = 64,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if channels != 3 or frames != 13:
            raise VgzooError(
                f"a restorer trains on 13 frames and channels=3, not {frames} and {channels}"
            )
        if height % 8 or width % 8:
            raise VgzooError(f"height and width must be multiples of 8, not {height}×{width}")
        own = {
            "motion_widths": motion_widths,
            "motion_blocks": motion_blocks,
            "widths": widths,
            "blocks": blocks,
        }
        for name, value in own.items():
            if len(value) != 3:
                raise VgzooError(f"{name} must be three numbers, not {list(value)}")
            setattr(self, name, tuple(value))
        self.style = style
        self.task = layers.Dense(style, name="task")
        self.told = layers.Dense(style, name="told")
        self.aligner = Aligner(len(NEAR), self.motion_widths, self.motion_blocks, name="aligner")
        self.unet = UNet(channels + 1 + len(NEAR), self.widths, self.blocks, name="unet")
        told, values = keras.KerasTensor((1, style)), channels + 1
        self.told(self.task(keras.KerasTensor((1, len(damage.KINDS)))))
        near = 1, len(NEAR), height, width, values
        self.aligner.build((1, height, width, values), near, near[:2], told.shape)
        self.unet(keras.KerasTensor((1, height, width, values * (1 + len(NEAR)))), told)

    def get_config(self) -> dict:
        own = ("motion_widths", "motion_blocks", "widths", "blocks")
        own = {key: list(getattr(self, key)) for key in own}
        return super().get_config() | own | {"style": self.style}

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    def restored(self, frame, near, offsets, kind):
        """A frame made whole.

        Args:
            frame: `(B, H, W, 4)`, colour in [0, 1] and 1 where it is known, 0 where it is not;
                sides multiples of 8.
            near: its neighbours, `(B, 4, H, W, 4)`.
            offsets: how many frames later each of them is, `(B, 4)`.
            kind: int `(B,)`, which of `damage.KINDS`.

        Returns:
            `(B, H, W, 3)`, about [0, 1], and the neighbours' motion `(B, H, W, 8)` in pixels, both
            float32.
        """
        frame, fetched, motion, style = self._aligned(frame, near, offsets, kind)
        height, width = frame.shape[1:3]
        others = ops.reshape(ops.cast(fetched, "float32"), (-1, height, width, len(NEAR), 4))
        guess = self._guess(ops.cast(frame, "float32"), others)
        seen = ops.concatenate([ops.cast(guess, frame.dtype), frame[..., 3:], fetched], axis=-1)
        out = ops.cast(self.unet(seen, style), "float32")
        added, logits = ops.split(out, [self.channels], axis=-1)
        colour, there = ops.split(others, [3], axis=-1)
        colour = ops.concatenate([guess[:, :, :, None], colour / (there + 1e-3)], axis=3)
        there = ops.concatenate([ops.ones_like(there[:, :, :, :1]), there], axis=3)
        share = ops.softmax(logits + ops.log(there[..., 0] + 1e-3), axis=-1)[..., None]
        made = added + ops.sum(share * colour, axis=3)
        return self._kept((made + 1) / 2, frame, kind), motion

    @staticmethod
    def _guess(frame, others):
        """Colours of a frame, where they are not known the neighbours' mean, or a membrane.

        Args:
            frame: `(B, H, W, 4)`, 0 where it is not known.
            others: the neighbours fetched there, `(B, H, W, 4, 4)`, alike.
        """
        colour, known = ops.split(ops.stop_gradient(frame), [3], axis=-1)
        total, count = ops.split(ops.sum(ops.stop_gradient(others), axis=3), [3], axis=-1)
        there = known + (1 - known) * ops.minimum(count, 1.0)
        total = known * colour + (1 - known) * total / ops.maximum(count, 1e-3)
        # Most tasks have nothing to complete.
        return ops.cond(
            ops.all(there >= 1), lambda: total, lambda: completed(total, there, _ROUNDS)
        )

    def motion(self, frame, near, offsets, kind):
        """How neighbours moved: that of `restored`, alone."""
        return self._aligned(frame, near, offsets, kind)[2]

    def _aligned(self, frame, near, offsets, kind):
        frame, near = (ops.cast(masked(x), self.compute_dtype) for x in (frame, near))
        style = self.task(ops.one_hot(kind, len(damage.KINDS), dtype=self.compute_dtype))
        style = ops.silu(self.told(ops.silu(style)))
        return frame, *self.aligner(frame, near, offsets, style), style

    def _kept(self, made, frame, kind):
        """What was made, with what is certain put back: all around a hole, the grey of a frame."""
        colour, known = ops.split(ops.cast(frame, "float32"), [3], axis=-1)
        colour = (colour + 1) / 2
        kind = ops.reshape(kind, (-1, 1, 1, 1))
        made = ops.where(kind == KIND["inpaint"], known * colour + (1 - known) * made, made)
        grey = made + damage.grey(colour) - damage.grey(made)
        return ops.where(kind == KIND["colorize"], grey, made)

    # -- training --------------------------------------------------------------------------

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Logarithm of the squared error of the middle frame, for a task drawn for each clip.

        Where the batch tells the `"flow"`, as `vgzoo.data.clips` does, the motion is learned too.
        """
        clip = (ops.cast(self.network_clip(x), "float32") + 1) / 2
        rows, middle = ops.shape(clip)[0], self.frames // 2
        step = self.next_noise_step()
        drawn = random.uniform((rows, 3), seed=self.seed, step=step)
        ends = (np.cumsum(_SHARES) / sum(_SHARES)).astype("float32")[:-1]
        kind = ops.sum(ops.cast(ops.greater_equal(drawn[:, :1], ends), "int32"), axis=1)
        between = ops.cast(kind == KIND["interpolate"], "float32")[:, None]
        # Frames between others are learned at two speeds: what is seldom seen moves far.
        stride = 1 + ops.cast(drawn[:, 1:2] < 0.5, "float32")
        near, apart = (np.array(n, "float32") for n in (NEAR, BETWEEN))
        offsets = between * stride * apart + (1 - between) * near
        times = ops.concatenate([offsets, ops.zeros_like(between)], axis=1)
        which = middle + ops.cast(times, "int32") + self.frames * ops.arange(rows)[:, None]
        clean = ops.take(ops.reshape(clip, (-1, *clip.shape[2:])), which, axis=0)
        worn, known = damage.suffer(clean, kind, times, seed=self.seed, step=step)
        there = self._there(drawn[:, 2:], between)
        known = known * there[..., None, None, None]
        seen = ops.concatenate([worn, known], axis=-1)
        near, frame = ops.split(seen, [len(NEAR)], axis=1)
        made, motion = self.restored(frame[:, 0], near, offsets, kind)
        count = ops.where(
            ops.reshape(kind, (-1, 1, 1, 1)) == KIND["inpaint"], 1 - known[:, -1], 1.0
        )
        error = ops.sum(count * ops.square(made - clean[:, -1]), axis=(1, 2, 3))
        error = error / (self.channels * ops.sum(count, axis=(1, 2, 3)) + 1e-3)
        loss = ops.mean(ops.log(error + _LEAST)) / 2
        psnr = -10 / np.log(10) * ops.mean(ops.log(error + 1e-6))
        apart = ops.zeros(())
        if isinstance(x, dict) and "flow" in x:
            apart = self._misplaced(motion, x["flow"], which, there)
            loss = loss + _FLOW * apart
        self.track(psnr=psnr, motion_error=apart)
        return loss

    @staticmethod
    def _there(drawn, between):
        """Which frames there are, `(B, 5)`: at a clip's ends neighbours are missing."""
        case = ops.floor(drawn / _MISSING)
        lost = ops.zeros_like(drawn) + np.zeros((1, len(NEAR)), "float32")
        for i, gone in enumerate(([1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1], [1, 0, 0, 0])):
            lost = ops.where(ops.equal(case, i), np.array(gone, "float32"), lost)
        inner = np.array([0, 1, 1, 0], "float32")
        return 1 - ops.concatenate([lost * (1 - between * inner), between], axis=1)

    @staticmethod
    def _misplaced(motion, flow, which, there):
        """Mean error of the motion in pixels, where it stays in the frame."""
        _, frames, height, width, _ = flow.shape
        flow = ops.reshape(ops.cast(flow, "float32"), (-1, height, width, 2))
        flow = ops.average_pool(flow, _COARSER, strides=_COARSER) / _COARSER
        high, wide = flow.shape[1:3]
        truth = motions(ops.reshape(flow, (-1, frames, high, wide, 2)), (frames + 1) // 2)
        truth = ops.take(
            ops.reshape(truth, (-1, high, wide, 2)), which[:, : len(NEAR)], axis=0
        )  # (B, 4, h, w, 2)
        found = ops.average_pool(motion, _COARSER, strides=_COARSER) / _COARSER
        found = ops.reshape(found, (-1, high, wide, len(NEAR), 2))
        found = ops.transpose(found, (0, 3, 1, 2, 4))
        x = truth[..., 0] + np.arange(wide, dtype="float32")
        y = truth[..., 1] + np.arange(high, dtype="float32")[:, None]
        inside = (x >= 0) & (x <= wide - 1) & (y >= 0) & (y <= high - 1)
        counts = ops.cast(inside, "float32") * there[:, : len(NEAR), None, None]
        apart = ops.sqrt(ops.sum(ops.square(found - truth), axis=-1) + 1e-4)
        return _COARSER * ops.sum(counts * apart) / (ops.sum(counts) + 1.0)


def _conv(filters: int, name: str, start) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=start, name=name)


MODEL = Restorer

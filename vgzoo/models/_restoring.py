"""How a model that restores frame by frame goes through clips of any size and length.

Each frame comes with its neighbours, those beyond the clip's ends as not known; large frames go in
tiles that overlap, and where they do the result passes from one to the other. Holes are filled with
what other frames show of them first (`vgzoo.models._completing`), and colours are made the mean of
what they are along the motion, so that they flicker less.
"""

from collections.abc import Iterator

import numpy as np
from keras import ops

from vgzoo.errors import VgzooError
from vgzoo.layers import damage
from vgzoo.layers.aligning import whole
from vgzoo.layers.fusing import unfused
from vgzoo.layers.steadying import TIMES, steadied
from vgzoo.models._completing import carried_over, carried_tensors
from vgzoo.models._filling import checked_mask
from vgzoo.models._forecasting import progress_bar
from vgzoo.video import as_uint8, with_channels

NEAR = (-2, -1, 1, 2)  # neighbours of a frame
BETWEEN = (-3, -1, 1, 3)  # of a frame to be put between two, in halves of their distance
KIND = {name: i for i, name in enumerate(damage.KINDS)}
METHODS = ("restore", "superresolve", "inpaint", "colorize", "interpolate")
FACTORS = (2, 4)
TILE, OVERLAP = 256, 32  # pixels
_CELL = 8


class Restoring:
    """The part of a `VideoModel` that edits clips frame by frame; a subclass writes `restored`."""

    def restored(self, frame, near, offsets, kind):
        """A frame, its neighbours, when they are, and the kind of task → the frame, and more."""
        raise self._does_not("edit")

    def edit(
        self,
        clips,
        *,
        method: str = "restore",
        factor: int = 2,
        mask=None,
        tile: int = TILE,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Change clips of any size and length.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], grey or RGB.
            method: "restore" takes away noise, blur and blocks; "superresolve" enlarges;
                "inpaint" fills a mask; "colorize" gives what is grey its colours; "interpolate"
                puts frames between those that came.
            factor: 2 or 4, of "superresolve" each side, of "interpolate" the rate of frames.
            mask: of "inpaint": bool, or 0 and 1, `(H, W)`, `(T, H, W)` or `(B, T, H, W)`, 1 where
                to make anew.
            tile: side of the squares, in pixels of the result, that larger frames are made in; a
                multiple of 8, of at least 96.
            batch_size: frames at a time; 4 if None.
            verbose: 1 shows a progress bar.

        Returns:
            uint8 `(B, T', H', W', C)`, without B for one clip: for "superresolve" H' and W' are
            `factor` times as many, for "interpolate" T' is `factor · (T - 1) + 1`, and "colorize"
            gives RGB. The known pixels of "inpaint" and the old frames of "interpolate" are as they
            came.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: an unknown method, a mask that is missing, not wanted or does not fit, a
                number out of its range, or a single frame to interpolate.
        """
        if method not in METHODS:
            raise VgzooError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        if factor not in FACTORS:
            raise VgzooError(f"factor must be 2 or 4, not {factor}")
        if (mask is None) == (method == "inpaint"):
            word = "wants a mask" if mask is None else "has no use for a mask"
            raise VgzooError(f"{method} {word}")
        if not isinstance(tile, int | np.integer) or tile % _CELL or tile < 3 * OVERLAP:
            raise VgzooError(f"tile must be a multiple of 8 of at least 96, not {tile}")
        size = 4 if batch_size is None else batch_size
        if not isinstance(size, int | np.integer) or size < 1:
            raise VgzooError(f"batch_size must be a whole number of at least 1, not {size}")
        clips = as_uint8(clips)
        single, clips = clips.ndim == 4, clips if clips.ndim == 5 else clips[None]
        grey = clips.shape[-1] == 1 and method != "colorize"
        if method == "interpolate" and clips.shape[1] < 2:
            raise VgzooError("interpolate wants clips of two frames or more, not 1")
        missing = None if mask is None else checked_mask(mask, clips.shape[:4])
        progress, made = progress_bar(len(clips), "clip", verbose), []
        for i, clip in enumerate(clips):
            gap = None if missing is None else missing[i]
            clip = with_channels(clip, 3)
            made.append(self._edited(clip, method, factor, gap, tile, size))
            progress(i + 1)
        made = np.stack(made)
        made = with_channels(made, 1) if grey else made
        return made[0] if single else made

    def edited(self, clip, method: str, *, factor: int = 2, mask=None):
        """What `edit` makes, of tensors, in one piece.

        Args:
            clip: float32 `(B, T, H, W, 3)` in [0, 1]; all but B known beforehand.
            method, factor: as for `edit`.
            mask: bool `(T, H, W)`.

        Returns:
            float32 `(B, T', H', W', 3)`.
        """
        if method == "interpolate":
            for _ in range(factor.bit_length() - 1):
                seen = ops.concatenate([clip, ops.ones_like(clip[..., :1])], axis=-1)
                nothing = ops.zeros_like(seen[:, 1:])
                new = self._whole(seen, nothing, "interpolate", (-1, 0, 1, 2), BETWEEN)
                pairs = ops.stack([clip[:, :-1], new], axis=2)
                pairs = ops.reshape(pairs, (-1, 2 * new.shape[1], *clip.shape[2:]))
                clip = ops.concatenate([pairs, clip[:, -1:]], axis=1)
            return clip
        if method == "superresolve":
            down, across = (damage.cubic(n, factor) for n in clip.shape[2:4])
            clip, method = damage.along(clip, down, across), f"superresolve{factor}"
        clip = damage.grey(clip) if method == "colorize" else ops.clip(clip, 0.0, 1.0)
        known = ops.ones_like(clip[..., :1])
        if mask is None:
            seen = ops.concatenate([clip, known], axis=-1)
            made = self._whole(seen, seen, method, NEAR, NEAR)
            if method == "colorize":
                motion = self._all(self._grey_moved, seen, seen, NEAR)
                for _ in range(TIMES):
                    seen = ops.concatenate([made, known], axis=-1)
                    frames = ops.concatenate([seen, motion], axis=-1)
                    made = self._all(steadied, seen, frames, NEAR)
            return ops.clip(made, 0.0, 1.0)
        hole = mask[None, ..., None]
        seen = ops.concatenate([clip, ops.subtract(known, hole.astype("float32"))], axis=-1)
        seen = carried_tensors(seen, self._all(self._moved, seen, seen, NEAR))
        return ops.where(hole, self._whole(seen, seen, method, NEAR, NEAR), clip)

    def _whole(self, seen, frames, kind: str, places, offsets):
        """Frames `(B, T, H, W, 4)`, each made of itself and of those at `places` from it in what
        is seen, `(B, T', H, W, 4)`: colours in [0, 1]."""
        made = self._all(self._restorer(kind, offsets), seen, frames, places)
        return ops.clip(made, 0.0, 1.0)

    def _all(self, run, seen, frames, places):
        """`run` over all frames and those at `places` from them: `(B, T, H, W, ·)`."""
        beyond = max(np.abs(places))
        seen = ops.pad(seen, ((0, 0), (beyond, beyond), (0, 0), (0, 0), (0, 0)))
        count, (height, width) = frames.shape[1], frames.shape[2:4]
        near = [seen[:, beyond + place : beyond + place + count] for place in places]
        near, frames = (whole(x, _CELL) for x in (ops.stack(near, axis=2), frames))
        near = ops.reshape(near, (-1, *near.shape[2:]))
        made = run(ops.reshape(frames, (-1, *frames.shape[2:])), near)
        made = ops.reshape(made, (-1, count, *made.shape[1:]))
        return made[:, :, :height, :width]

    def interpolate(self, clips, factor: int = 2, **options) -> np.ndarray:
        """Put new frames between those of clips; `options` and errors as for `edit`.

        Like other models', this one's takes a `seed` and a `temperature`; it draws no noise.
        """
        return self.edit(clips, method="interpolate", factor=factor, **self._of_use(options))

    def inpaint(self, clips, mask, **options) -> np.ndarray:
        """Make parts of clips anew; mask, `options` and errors as for `edit`.

        Like other models', this one's takes a `seed` and a `temperature`; it draws no noise.
        """
        return self.edit(clips, method="inpaint", mask=mask, **self._of_use(options))

    def _of_use(self, options: dict) -> dict:
        options = {k: v for k, v in options.items() if k not in ("seed", "temperature")}
        for name in ("labels", "steps"):
            if options.pop(name, None) is not None:
                raise VgzooError(f"{self.name} has no use for {name}: leave it out")
        return options

    def _edited(self, clip, method: str, factor: int, gap, tile: int, size: int) -> np.ndarray:
        """One clip uint8 `(T, H, W, 3)`, edited."""
        if method == "interpolate":
            for _ in range(factor.bit_length() - 1):  # twice as many frames each time
                clip = self._doubled(clip, tile, size)
            return clip
        kind = f"superresolve{factor}" if method == "superresolve" else method
        known = np.ones((*clip.shape[:3], 1), "float32")
        values = clip.astype("float32") / 255
        if method == "superresolve":
            values = self._enlarged(values, factor)
            known = np.ones((*values.shape[:3], 1), "float32")
        if method == "colorize":
            values = np.repeat(values @ damage.LUMA[:, None], 3, axis=-1)
        if gap is not None:
            known = 1 - gap[..., None].astype("float32")
        seen = np.concatenate([values, known], axis=-1)
        if gap is not None:
            seen = self._carried(seen, tile, size)
        wanted = [t for t in range(len(clip)) if gap is None or gap[t].any()]
        frames = _with_near(seen, seen, wanted)
        made = self._floats(kind, self._restorer(kind, NEAR), frames, tile, size)
        if method == "colorize":
            made = self._steadied(np.stack(list(made)).clip(0, 1), seen, tile, size)
        made = dict(zip(wanted, map(_rounded, made), strict=True))
        return np.stack([made.get(t, frame) for t, frame in enumerate(clip)])

    def _steadied(self, made: np.ndarray, seen: np.ndarray, tile: int, size: int) -> np.ndarray:
        """A coloured clip that flickers less; what is seen is its grey."""
        every = range(len(seen))
        frames = _with_near(seen, seen, every)
        motion = np.stack(list(self._floats("grey motion", self._grey_moved, frames, tile, size)))
        for _ in range(TIMES):
            seen = np.concatenate([made, seen[..., 3:]], axis=-1)
            frames = _with_near(np.concatenate([seen, motion], axis=-1), seen, every)
            made = np.stack(list(self._floats("steadied", steadied, frames, tile, size)))
        return made

    def _carried(self, seen: np.ndarray, tile: int, size: int) -> np.ndarray:
        """A clip whose holes have what other frames show of them."""

        def motions(numbers: list[int]) -> Iterator[np.ndarray]:
            frames = _with_near(seen, seen, numbers)
            return self._floats("motion", self._moved, frames, tile, size)

        return carried_over(seen, motions)

    def _doubled(self, clip, tile: int, size: int) -> np.ndarray:
        """A clip with a new frame between each two."""
        known = np.ones((*clip.shape[:3], 1), "float32")
        seen = np.concatenate([clip.astype("float32") / 255, known], axis=-1)
        nothing = np.zeros_like(seen[0])
        frames = ((nothing, _near(seen, t, (-1, 0, 1, 2))) for t in range(len(clip) - 1))
        made = np.empty((2 * len(clip) - 1, *clip.shape[1:]), "uint8")
        made[::2] = clip
        run = self._restorer("interpolate", BETWEEN)
        for t, frame in enumerate(self._floats("interpolate", run, frames, tile, size)):
            made[2 * t + 1] = _rounded(frame)
        return made

    def _enlarged(self, values, factor: int) -> np.ndarray:
        down, across = (damage.cubic(n, factor) for n in values.shape[1:3])
        return ops.convert_to_numpy(damage.along(values[None], down, across))[0].clip(0, 1)

    def _floats(self, name: str, run, frames, tile: int, size: int) -> Iterator[np.ndarray]:
        """What `run` makes of frames `(H, W, 4)` with their neighbours `(4, H, W, 4)`, in order: it
        is compiled, and large frames go in tiles."""
        run = self._coder(f"restored {name}", run)
        rows = 0
        for batch in _batches(frames, size):
            count, rows = len(batch), rows or len(batch)
            # The last batch is filled up, so that one compiled function serves all.
            batch = batch + batch[-1:] * (rows - count)
            frame, near = (np.stack(x) for x in zip(*batch, strict=True))
            with unfused(near.size):
                made = in_tiles(lambda *x: ops.convert_to_numpy(run(*x)), frame, near, tile)
            yield from made[:count]

    def _restorer(self, kind: str, offsets):
        def run(frame, near):
            made, _ = self.restored(frame, near, *_told(frame, kind, offsets))
            return made if kind == "colorize" else _as_grey(made, frame, near)

        return run

    def _moved(self, frame, near):
        """How neighbours moved, in a clip with holes, the one before and the one behind."""
        motion = self.motion(frame, near, *_told(frame, "inpaint", NEAR))
        return ops.split(motion, [2, 6], axis=-1)[1]

    def _grey_moved(self, frame, near):
        """How neighbours moved, in a clip without colours."""
        return self.motion(frame, near, *_told(frame, "colorize", NEAR))


def _told(frame, kind: str, offsets):
    """Offsets and the kind of task, for each of a batch of frames."""
    rows = ops.shape(frame)[0]
    times = ops.add(ops.zeros((rows, 1)), np.array(offsets, "float32"))
    return times, ops.full((rows,), KIND[kind], "int32")


def _rounded(frame: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as uint8."""
    return np.floor(255 * frame.clip(0, 1) + np.float32(0.5001)).astype("uint8")


def _as_grey(made, *seen):
    """What was made, without a colour where none was seen."""
    hues = []
    for x in seen:
        colour = ops.split(x, [3], axis=-1)[0]
        hue = ops.max(colour, axis=-1) - ops.min(colour, axis=-1)
        hues.append(ops.max(hue, axis=tuple(range(1, len(hue.shape)))))
    coloured = ops.reshape(ops.maximum(*hues) > 1 / 512, (-1, 1, 1, 1))
    return ops.where(coloured, made, ops.mean(made, axis=-1, keepdims=True))


def in_tiles(run, frame: np.ndarray, near: np.ndarray, tile: int) -> np.ndarray:
    """`run` over frames in squares that overlap, from one to the next in even steps.

    Args:
        run: `(frame, near) → made`, of sides that are multiples of 8.
        frame: `(B, H, W, C)`.
        near: `(B, K, H, W, C)`.
        tile: side of the squares.

    Returns:
        float32 `(B, H, W, ·)`.
    """
    height, width = frame.shape[1:3]
    sides = [min(tile, -(-n // _CELL) * _CELL) for n in (height, width)]
    beyond = [(0, max(0, side - n)) for side, n in zip(sides, (height, width), strict=True)]
    frame = np.pad(frame, ((0, 0), *beyond, (0, 0)), mode="edge")
    near = np.pad(near, ((0, 0), (0, 0), *beyond, (0, 0)), mode="edge")
    starts = [_starts(n, side) for n, side in zip(frame.shape[1:3], sides, strict=True)]
    if all(len(s) == 1 for s in starts):
        return run(frame, near)[:, :height, :width]
    every, total, weight = (slice(None),), 0.0, np.zeros((*frame.shape[1:3], 1), "float32")
    ramps = [_ramps(s, side) for s, side in zip(starts, sides, strict=True)]
    for top, down in zip(starts[0], ramps[0], strict=True):
        for left, across in zip(starts[1], ramps[1], strict=True):
            part = np.s_[top : top + sides[0], left : left + sides[1]]
            made = run(frame[every + part], near[every + every + part])
            if isinstance(total, float):
                total = np.zeros((*frame.shape[:3], made.shape[-1]), "float32")
            share = (down[:, None] * across)[..., None]
            total[every + part] += share * made
            weight[part] += share
    return (total / weight)[:, :height, :width]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin that overlap by `OVERLAP` pixels or more."""
    if length == side:
        return [0]
    more = -(-(length - side) // (side - OVERLAP))
    return [i * (length - side) // more for i in range(more + 1)]


def _ramps(starts: list[int], side: int) -> list[np.ndarray]:
    """How much each place of a tile counts along an axis: less towards a neighbour."""
    up = (np.arange(OVERLAP, dtype="float32") + 0.5) / OVERLAP
    ramps = []
    for i in range(len(starts)):
        ramp = np.ones(side, "float32")
        if i:
            ramp[:OVERLAP] = up
        if i < len(starts) - 1:
            ramp[-OVERLAP:] = up[::-1]
        ramps.append(ramp)
    return ramps


def _near(seen: np.ndarray, t: int, offsets) -> np.ndarray:
    """The neighbours of frame t, `(4, H, W, 4)`; those beyond the ends are not known."""
    found = np.zeros((len(offsets), *seen.shape[1:]), "float32")
    for i, offset in enumerate(offsets):
        if 0 <= t + offset < len(seen):
            found[i] = seen[t + offset]
    return found


def _with_near(frames: np.ndarray, seen: np.ndarray, numbers) -> Iterator[tuple]:
    """Some of the frames, each with its neighbours in what is seen."""
    return ((frames[t], _near(seen, t, NEAR)) for t in numbers)


def _batches(items, size: int) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

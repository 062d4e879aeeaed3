"""Latents of a GAN: back from clips to them, and what in them means what.

A GAN has no encoder. The latents of a real clip are found by descent from the best of many draws
(Zhu et al. 2016, "Generative visual manipulation on the natural image manifold", arXiv 1609.03552),
on differences at several resolutions: the coarse ones say where things are to go, the fine ones
what they look like. Directions that change what a clip shows need no labels: they are those that
the first layer amplifies most (SeFa, Shen and Zhou 2021, arXiv 2007.06600).
"""

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.models._forecasting import check_numbers, progress_bar, to_uint8

_TRIES = 512  # draws, of which the best are gone on with
_STARTS = 4  # of them for each clip
_COARSEST = 8  # pixels a side
_PRIOR = 1e-3  # weight of the latents' squares
_BATCH = 32  # clips at a time, where no gradient is needed


class Latents:
    """The part of a GAN that finds and reads latents.

    A subclass writes `latent_parts` and `content_weights`.
    """

    def latent_parts(self, frames: int) -> dict[str, np.ndarray]:
        """Which values are content and which are motion: indices `(objects, values)` of each."""
        raise self._does_not("invert")

    def content_weights(self) -> np.ndarray:
        """What the first layer makes of an object's content: `(content, outputs)`."""
        raise self._does_not("invert")

    def decode(self, latents, frames: int | None = None) -> np.ndarray:
        """Clips of latents.

        Args:
            latents: `(B, L)`, or of one clip; `L` is `noise_shape(frames)[0]`.
            frames: length of the clips; as trained if None.

        Returns:
            uint8 `(B, T, H, W, C)`, or one clip.

        Raises:
            VgzooError: latents of another shape.
        """
        frames = self.frames if frames is None else frames
        latents = np.asarray(latents, "float32")
        single = latents.ndim == 1
        latents = latents[None] if single else latents
        if latents.shape[1:] != self.noise_shape(frames) or not latents.size:
            raise VgzooError(
                f"latents of shape {latents.shape} came; {self.name} makes clips of {frames} "
                f"frames of (B, {self.noise_shape(frames)[0]})"
            )

        def run(z):
            return to_uint8(self.sample(z, labels=None, frames=frames, steps=None))

        run = self._coder(f"decode {frames}", run)
        parts = [run(latents[i : i + _BATCH]) for i in range(0, len(latents), _BATCH)]
        clips = np.concatenate([ops.convert_to_numpy(part) for part in parts])
        return clips[0] if single else clips

    def invert(
        self,
        clips,
        *,
        steps: int = 200,
        learning_rate: float = 0.05,
        seed: int = 0,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Latents whose clips are like those given.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1].
            steps: of the descent.
            learning_rate: of Adam at first; it ends at 0.
            seed: of the draws that it begins with.
            batch_size: clips at a time; 8 if None.
            verbose: 1 shows a progress bar.

        Returns:
            float32 `(B, noise_shape(T)[0])`, or those of one clip, for `decode`.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: frames of another size or kind, or an argument out of its range.
        """
        batch_size = 8 if batch_size is None else batch_size
        single = np.ndim(clips) == 4
        clips = self.checked_clips(clips, least=1)
        count, frames = clips.shape[:2]
        check_numbers(count, frames, seed, batch_size, 1.0)
        if not isinstance(steps, int | np.integer) or steps < 1:
            raise VgzooError(f"steps must be at least 1, not {steps}")
        starts = self._starts(clips, seed)
        far, slope = self._distance(frames)
        far = self._coder(f"latents' loss {frames}", far)
        slope = self._coder(f"latents' slope {frames}", slope)
        progress, found = progress_bar(count, "clip", verbose), []
        for start in range(0, count, batch_size):
            wanted = clips[start : start + batch_size]
            all_wanted = np.repeat(wanted, _STARTS, axis=0)
            latents = starts[start : start + batch_size].reshape(len(all_wanted), -1)
            rates = learning_rate * 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))
            first, last = np.split(rates, [steps // 2])
            latents = _descended(slope, latents, all_wanted, first)
            loss = ops.convert_to_numpy(far(latents, all_wanted)).reshape(-1, _STARTS)
            rows = np.arange(len(wanted)) * _STARTS + loss.argmin(axis=1)
            found.append(_descended(slope, latents[rows], wanted, last))
            progress(min(start + batch_size, count))
        found = np.concatenate(found)
        return found[0] if single else found

    def _starts(self, clips: np.ndarray, seed: int) -> np.ndarray:
        """Latents `(B, starts, L)` of draws that are near clips, at the coarsest resolution.

        Of several things in a clip one after another is drawn, each the best beside those before:
        where they meet the brighter one shows.
        """
        frames, (length,) = clips.shape[1], self.noise_shape(clips.shape[1])
        things = len(self.latent_parts(frames)["content"])
        tried = random.normal_rows(seed, 0, _TRIES, (length // things,)).astype("float32")
        shown = self.decode(np.tile(tried, (1, things)), frames)  # all things are one
        shown = self._coarse(shown).reshape(_TRIES, -1)
        starts = []
        for wanted in self._coarse(clips).reshape(len(clips), -1):
            best = np.square(shown - wanted).mean(axis=1).argsort()[:_STARTS]
            chosen, seen = best[:, None], shown[best]
            for _ in range(things - 1):
                far = [np.square(np.maximum(shown, one) - wanted).mean(axis=1) for one in seen]
                # Two things that are one, each as bright as the other, have no slope.
                np.put_along_axis(far := np.stack(far), chosen, np.inf, axis=1)
                best = np.argmin(far, axis=1)
                chosen, seen = np.c_[chosen, best], np.maximum(seen, shown[best])
            starts.append(tried[chosen].reshape(_STARTS, length))
        return np.stack(starts)

    def _distance(self, frames: int):
        """How far clips of latents are from those wanted, `(B,)`, and its slope in the latents."""
        from vgzoo.models.base import input_gradient

        def far(latents, wanted):
            made = self.sample(latents, labels=None, frames=frames, steps=None)
            wanted = ops.cast(wanted, "float32") / 127.5 - 1
            away = ops.reshape(ops.cast(made, "float32") - wanted, (-1, *wanted.shape[2:]))
            total = _PRIOR * ops.mean(ops.square(latents), axis=-1)
            side = 1
            while side <= _COARSEST:
                each = ops.mean(ops.square(away), axis=(1, 2, 3))
                # Coarse differences are small, and say where to go.
                total = total + side * ops.mean(ops.reshape(each, (-1, frames)), axis=1)
                away = ops.average_pool(away, 2, data_format="channels_last")
                side *= 2
            return total

        def slope(latents, wanted):
            return input_gradient(lambda z: far(z, wanted), ops.convert_to_tensor(latents))

        return far, slope

    @staticmethod
    def _coarse(clips: np.ndarray) -> np.ndarray:
        """Clips at the coarsest resolution, in [0, 1]."""
        count, frames, height, width, channels = clips.shape
        rows, columns = height // _COARSEST, width // _COARSEST
        x = clips.reshape(count, frames, rows, _COARSEST, columns, _COARSEST, channels)
        return x.mean(axis=(3, 5), dtype="float32") / 255

    def directions(self, count: int = 8) -> np.ndarray:
        """Directions of an object's content that change most of what it looks like.

        Args:
            count: how many; at most as many as a content latent is long.

        Returns:
            float32 `(count, content)`, orthonormal, that which changes most first.

        Raises:
            VgzooError: more than there are, or none.
        """
        weights = self.content_weights()
        if not isinstance(count, int | np.integer) or not 0 < count <= len(weights):
            raise VgzooError(f"count must be 1 … {len(weights)}, not {count}")
        _, vectors = np.linalg.eigh(weights.astype("float64") @ weights.T.astype("float64"))
        vectors = vectors.T[::-1][:count]
        # An eigenvector's sign is free: the greatest value is positive.
        greatest = np.abs(vectors).argmax(axis=1)[:, None]
        return (vectors * np.sign(np.take_along_axis(vectors, greatest, axis=1))).astype("float32")


def _descended(slope, latents: np.ndarray, wanted: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Latents after a step of Adam for each rate."""
    mean, square = np.zeros_like(latents), np.zeros_like(latents)
    for done, rate in enumerate(rates, 1):
        found = ops.convert_to_numpy(slope(latents, wanted))
        mean, square = 0.9 * mean + 0.1 * found, 0.99 * square + 0.01 * found**2
        size = np.sqrt(square / (1 - 0.99**done)) + 1e-8
        latents = latents - (rate * mean / (1 - 0.9**done) / size).astype("float32")
    return latents

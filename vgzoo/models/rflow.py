"""A rectified flow for video: one network that generates, forecasts, interpolates and inpaints.

After Liu et al. 2022, "Flow straight and fast" (arXiv 2209.03003), and Lipman et al. 2022 (arXiv
2210.02747): a clip and noise are joined by a straight line, a network learns the velocity along it,
and sampling follows that velocity from noise to a clip. What is made for video here:

- the network is told which pixels are known (a mask), and sees these clean: with none it generates,
  with the first frames it forecasts, with every second it interpolates, with all but a box it
  inpaints. Longer clips are made window after window, each with the end of the last one known;
- it works on patches of pixels, and says what the clip is, from which the velocity follows: clips
  fill little of the space they lie in, velocities all of it (Li and He 2025, "Back to basics",
  arXiv 2511.13720);
- convolutions where pixels are many, attention where they are few (`vgzoo.layers.unet`);
- things that keep their shape while they move, one for each class, may be seen as sprites, each
  read off all frames at once (`vgzoo.layers.sprites`): without, shapes drift along a clip; where
  they are is decided for whole paths (`vgzoo.layers.paths`): frame by frame, noise decides it, and
  things wander. The paths of a clip that nothing is known of are drawn before the first step, and
  an edit keeps those that it finds: the flow goes from noise to what a clip shows on these, which
  takes few steps where it would take many to make up its mind;
- classes may be left out, in training for some clips, so that sampling can be guided (Ho and
  Salimans 2022, arXiv 2207.12598), if only while it is decided what is seen: later guidance costs
  evaluations and spoils details (Kynkäänniemi et al. 2024, arXiv 2404.07724);
- samples of one or two evaluations are made by leaps: told so, the same network says where guided
  steps would lead to in the end, as a consistency model does (Song et al. 2023, arXiv 2303.01469;
  guided: Luo et al. 2023, arXiv 2310.04378). It learns that from whole ways of a few steps, which
  it goes itself, so that no error of one leap is taught to the next.
"""

import keras
from keras import layers, ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers import masks
from vgzoo.layers.placing import waves
from vgzoo.layers.sprites import Sprites, misplaced
from vgzoo.layers.unet import VideoUNet
from vgzoo.models._leaps import MOST, Leaps
from vgzoo.models._places import Places, nothing_known, ordered
from vgzoo.models._windows import Windows
from vgzoo.models.base import VideoModel, register
from vgzoo.optimizers import Muon
from vgzoo.samplers import ode

_LEAST = 0.05  # time to the clip, by which no less is divided
_PLACES = 0.03  # what a nat of places counts in the loss
_TOLD = 0.6  # of the clips trained on are told the paths that things take
_LEAPT = 0.4  # what leaps count in the loss
_FIRST = 0.15  # of the clips are noise alone, where leaps start: so steps from there stay right


@register
class RFlow(Leaps, Places, Windows, VideoModel):
    """A rectified flow; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; sides multiples of
            `patch * 2 ** len(widths)`.
        classes: how many there are; 0 for clips without.
        labels: how many classes a clip has, in any order.
        patch, widths, blocks, features, heads, depth: of the network, as for `VideoUNet`.
        sprite: side in pixels of things that keep their shape, one for each label, which grey clips
            are seen as; 0 for none.
        code: length of what every block is told of time and classes. These have few dimensions
            that matter, and the matrices that read them are many.
        context: frames, of those made or seen last, that the next ones go on from.
        steps: evaluations of the network in a sample, if nothing else is asked for.
        sampler: "euler", "midpoint", "heun" or "multistep".
        guidance: how far samples of a class are pushed away from those of none: 1 for not at all,
            else an evaluation that is guided is of two clips.
        guided: the time until which evaluations are: 0 is noise, 1 the clip.
        shift: of the times of the steps, above 1 more of them lie near the noise.
        moment: mean and deviation of the logit of the times trained on; 0 is noise, 1 the clip.
        known: share of the clips trained on of which a part is known.
        unlabelled: share of those whose classes are left out.
        leaps: evaluations up to which samples are made by leaps: 0, 1, 2 or 4.
        leap_stride: every how many clips of a batch leaps are learned on too; 0 for none.

    Example:

    >>> model = RFlow(frames=4, height=16, width=16, widths=(8, 8), blocks=(1, 1), features=16,
    ...               heads=2, depth=1, patch=2, context=2, steps=2)
    >>> model.generate(2, labels=[[3, 8], [1, 1]]).shape
    (2, 4, 16, 16, 1)
    """

    family = "flow"
    tasks = ("generate", "forecast", "interpolate", "inpaint", "edit")
    references = (
        "arXiv:2209.03003",
        "arXiv:2210.02747",
        "arXiv:2511.13720",
        "arXiv:2301.11093",
    )
    options = ("labels", "steps")
    settings = ("steps", "sampler", "guidance", "guided", "shift", "leaps")
    any_length = True
    logged = ("mse", "leapt")

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        classes: int = 10,
        labels: int = 2,
        patch: int = 4,
        widths: tuple[int, ...] = (64, 128),
        blocks: tuple[int, ...] = (1, 2),
        features: int = 256,
        heads: int = 4,
        depth: int = 6,
        sprite: int = 0,
        code: int = 32,
        context: int = 8,
        steps: int = 32,
        sampler: str = "multistep",
        guidance: float = 1.0,
        guided: float = 1.0,
        shift: float = 3.0,
        moment: tuple[float, float] = (-1.3, 1.2),
        known: float = 0.5,
        unlabelled: float = 0.1,
        leaps: int = 0,
        leap_stride: int = 2,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        cell = patch * 2 ** len(widths)
        if height % cell or width % cell:
            raise VgzooError(f"height and width must be multiples of {cell}, not {height}×{width}")
        if not 0 < context < max(frames, 2):
            raise VgzooError(f"context must be 1 … {max(frames - 1, 1)}, not {context}")
        if sprite % 2 or not 0 <= sprite <= min(height, width) or (sprite and channels != 1):
            raise VgzooError(
                f"sprite must be an even side within grey frames, not {sprite} of {height}×{width}"
                f"×{channels}"
            )
        if sampler not in ode.SAMPLERS:
            raise VgzooError(f"sampler must be {', '.join(ode.SAMPLERS)}, not {sampler!r}")
        if leaps not in (0, 1, 2, MOST):
            raise VgzooError(f"leaps must be 0, 1, 2 or {MOST}, not {leaps}")
        self.classes, self.labels = classes, labels
        self.options = ("labels", "steps") if classes else ("steps",)
        self.patch, self.widths, self.blocks = patch, tuple(widths), tuple(blocks)
        self.features, self.heads, self.depth, self.sprite = features, heads, depth, sprite
        self.context, self.steps, self.sampler = context, steps, sampler
        self.guidance, self.guided = guidance, guided
        self.shift, self.moment = shift, tuple(moment)
        self.known, self.unlabelled = known, unlabelled
        self.leaps, self.leap_stride = leaps, leap_stride
        self.network = VideoUNet(
            channels + (sprite > 0),  # and how far the sprites are trusted
            patch=patch,
            widths=self.widths,
            blocks=self.blocks,
            features=features,
            heads=heads,
            depth=depth,
            style=code,
            name="network",
        )
        self.time = layers.Dense(features, name="time")
        self.label = layers.Dense(features, use_bias=False, name="label")
        self.style = layers.Dense(features, name="style")
        self.code = layers.Dense(code, use_bias=False, name="code")
        self.leap = None
        if leaps:
            self.leap = self.add_weight(
                name="leap",
                shape=(features,),
                initializer=keras.initializers.RandomNormal(stddev=0.3),
            )
        things = (1, labels, classes + 1)
        self._style(ops.zeros((1,)), ops.zeros(things))
        _, seen = self.network(
            keras.KerasTensor((1, frames, height, width, channels + 1)),
            keras.KerasTensor((1, code)),
        )
        self.sprites = None
        if sprite:
            self.sprites = Sprites(
                labels,
                size=sprite,
                patch=patch,
                width=96,
                blocks=3,
                frames=frames,
                name="sprites",
            )
            shapes = (1, frames, height, width, 3), things, (1, code)
            self.sprites(seen, *map(keras.KerasTensor, shapes))

    def get_config(self) -> dict:
        own = ("classes", "labels", "patch", "features", "heads", "depth", "sprite", "context")
        own += ("steps", "sampler", "guidance", "guided", "shift", "known", "unlabelled")
        own += ("leaps", "leap_stride")
        lists = ("widths", "blocks", "moment")
        return {
            **super().get_config(),
            **{key: getattr(self, key) for key in own},
            "code": self.code.units,
            **{key: list(getattr(self, key)) for key in lists},
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    # -- the network -----------------------------------------------------------------------

    def _style(self, time, classes, leap=0.0):
        """Times `(B,)`, classes, as `_classes` gives them, and 1 to leap → styles `(B, code)`."""
        level = ops.log((1.01 - time) / (0.01 + time)) / 5  # of noise, about -1 … 1
        told = self.time(waves(ops.stack([time, level], axis=-1)))
        if self.leap is not None:
            told = told + ops.cast(leap * self.leap, told.dtype)
        told = ops.silu(told + self.label(ops.sum(classes, axis=1)))
        return self.code(ops.silu(self.style(told)))

    def _classes(self, labels, rows):
        """Labels `(B, labels)` → `(B, labels, classes + 1)`, the last class that of no label."""
        if labels is None:
            labels = ops.full((rows, self.labels), -1, "int32")
        # Clips of no class are labelled -1.
        return ops.one_hot(ops.where(labels < 0, self.classes, labels), self.classes + 1)

    def _labels(self, labels):
        """Labels as data have them → `(B, labels)`; they have no order."""
        labels = ops.convert_to_tensor(labels)
        fits = [self.label_shape] + [(self.labels,)] * (self.labels == 1)
        if ops.ndim(labels) is not None and tuple(labels.shape[1:]) not in fits:
            raise VgzooError(
                f"{self.name} knows {self.labels} labels a clip, not {tuple(labels.shape[1:])}; "
                "clips without any train it too: dataset.map(lambda batch: batch['clip'])"
            )
        return ops.reshape(labels, (-1, self.labels))

    def _parts(self, x, time, classes, clip, known, places=None, told=None, leap=0.0):
        """What a noisy clip is, the same as sprites show it, and where these are, if there are any.

        Args:
            x: the noisy clip.
            time: `(B,)`.
            classes: as `_classes` gives them.
            clip: the clip where it is known, anything elsewhere.
            known: 1 where it is, `(B, T, H, W, 1)`.
            places, told: where things are, as `Sprites` takes them.
            leap: 1 for what steps would make of it, 0 for what it is likely to be.
        """
        seen = known * clip + (1 - known) * x
        style = self._style(time, classes, leap)
        whole, features = self.network(ops.concatenate([seen, known], axis=-1), style)
        whole, shown, found = ops.cast(whole, "float32"), None, None
        if self.sprites:
            whole, trust = ops.split(whole, 2, axis=-1)
            frames = ops.concatenate([(seen + 1) / 2, (whole + 1) / 2, known], axis=-1)
            shown, found = self.sprites(features, frames, classes, style, places=places, told=told)
            shown = 2 * ops.cast(shown, "float32") - 1
            whole = whole + ops.sigmoid(trust) * (shown - whole)
        return known * clip + (1 - known) * whole, shown, found

    def _velocity(self, x, time, *told, leap=0.0):
        away = ops.maximum(1 - time, 1e-3)[:, None, None, None, None]
        return (self._parts(x, time, *told, leap=leap)[0] - x) / away

    def _guided(self, x, time, classes, guidance, *told, until=1.0, leap=0.0):
        """The velocity of classes at one time, until another pushed away from that of none."""
        times = ops.broadcast_to(time, ops.shape(x)[:1])
        slope = self._velocity(x, times, classes, *told, leap=leap)
        if guidance == 1:
            return slope

        def pushed():
            without = self._velocity(x, times, self._classes(None, ops.shape(x)[0]), *told)
            return without + guidance * (slope - without)

        return pushed() if until >= 1 else ops.cond(time < until, pushed, lambda: slope)

    # -- training --------------------------------------------------------------------------

    @classmethod
    def learns_from_truth(cls, kwargs: dict) -> bool:
        return bool(kwargs.get("sprite"))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean squared error of the velocity, where the clip is not known.

        Where the batch tells the `"path"` of things, `(B, labels, T, 2)` with top and left edges,
        sprites learn those too.
        """
        clip = ops.cast(self.network_clip(x), "float32")
        rows, (frames, height, width) = ops.shape(clip)[0], clip.shape[1:4]
        step = self.next_noise_step()
        noise = random.normal(ops.shape(clip), seed=self.seed, step=step)
        time = random.normal((rows,), seed=self.seed, step=step, salt=1)
        time = ops.sigmoid(self.moment[0] + self.moment[1] * time)
        if self.leaps:
            first = random.uniform((rows,), seed=self.seed, step=step, salt=5) < _FIRST
            time = ops.where(first, 0.0, time)
        known = masks.draw(
            rows, frames, height, width, share=self.known, seed=self.seed, step=step, salt=2
        )
        classes, labels = self._classes(None, rows), None
        if self.classes and isinstance(x, dict) and "label" in x:
            labels = self._labels(x["label"])
            left = random.uniform((rows, 1, 1), seed=self.seed, step=step, salt=3)
            left = left < self.unlabelled
            classes = ops.where(left, classes, self._classes(ops.sort(labels, axis=1), rows))
        told, path, surprise = (), None, 0.0
        if self.sprites and labels is not None and "path" in x:
            path = ordered(ops.cast(x["path"], "int32"), labels)
            surprise = self.sprites.whole.unlikely(path)
            some = random.uniform((rows, 1, 1, 1, 1), seed=self.seed, step=step, salt=4) < _TOLD
            told = self._sure(path), some
        share = time[:, None, None, None, None]
        noisy = share * clip + (1 - share) * noise
        found, shown, places = self._parts(noisy, time, classes, clip, known, *told)
        error = ops.sum(ops.square(found - clip), axis=(1, 2, 3, 4))
        error = error / (self.channels * ops.maximum(ops.sum(1 - known, axis=(1, 2, 3, 4)), 1.0))
        loss = error / ops.square(ops.maximum(1 - time, _LEAST))
        if shown is not None:
            loss = loss + ops.mean(ops.square(shown - clip), axis=(1, 2, 3, 4))
        if path is not None:
            # Sprites are in the order of labels that are told, and that of paths.
            alike = ops.sum(ops.square(ops.sum(classes, axis=1)), axis=1)  # labels, if all differ
            in_order = (alike < self.labels + 0.5) | ops.reshape(some, (-1,))
            loss = loss + _PLACES * (misplaced(places, path, in_order) + surprise)
        leapt = 0.0
        if self.leaps and self.leap_stride:
            # In sampling those paths are told of which nothing is known.
            told = (self._sure(path), nothing_known(known)) if path is not None else ()
            leapt = self._leapt(noise, classes, clip, known, *told)
        self.track(mse=ops.mean(error), leapt=leapt)
        return ops.mean(loss) + _LEAPT * leapt

    # -- sampling --------------------------------------------------------------------------

    @property
    def label_shape(self) -> tuple[int, ...]:
        return (self.labels,) if self.labels > 1 else ()

    def fill(self, noise, clip, known, labels=None, steps: int | None = None):
        """The clips of one window, where they are not known, made of noise.

        Args:
            noise: `(B, frames, H, W, C)`.
            clip: of the same shape, in [-1, 1]; what it is where it is not known does not count.
            known: 1 where it is, `(B, frames, H, W, 1)`.
            labels: `(B, labels)`, or None.
            steps: evaluations of the network.
        """
        steps = self.steps if steps is None else steps
        leap = steps <= self.leaps
        guidance = 1 if labels is None or leap else self.guidance  # leaps have learned guided ways
        kept = self._drawn(noise, known)
        velocity = self.velocities(
            clip, known, labels, guidance, kept, until=self.guided, leap=float(leap)
        )
        sampler = "euler" if leap else self.sampler
        return ode.integrate(velocity, noise, steps=steps, shift=self.shift, sampler=sampler)

    def velocities(self, clip, known, labels, guidance, kept=(), **options):
        rows = ops.shape(clip)[0]
        classes = None if labels is None else ops.sort(self._labels(labels), axis=1)
        classes, guidance = self._classes(classes, rows), 1 if labels is None else guidance

        def velocity(x, time):
            return self._guided(x, time, classes, guidance, clip, known, *kept, **options)

        return velocity


MODEL = RFlow

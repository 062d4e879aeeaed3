"""Stochastic video forecasting with a learned prior, over layers that move.

After SVG (Denton and Fergus 2018, arXiv 1802.07687): at each step a latent says what of the next
frame cannot be known. While training, a posterior that sees that frame draws it; when forecasting,
a prior that does not; and the lower bound of the likelihood draws the two together. What differs:

- a clip is made of a few layers that move (Wang and Adelson 1994, "Representing moving images with
  layers"; learned, DDPAE, Hsieh et al. 2018, arXiv 1806.04166). A convolutional encoder takes the
  last frame apart, once, by how its pixels have moved; from then on only places and sizes change,
  so nothing blurs however long the forecast, and a step costs next to nothing;
- each layer has a recurrent state and latents of its own, by the same weights, and the state
  changes its speed rather than replaces it (residual dynamics, after SRVP, Franceschi et al. 2020,
  arXiv 2002.09219);
- the posterior sees a frame as its layer would, set back from where the layer would now be; it
  follows the layers back through the frames that are seen, too, which tells how fast they are;
- the prior may be a mixture of Gaussians, narrow where a layer goes on as it did and wide where it
  turns, so that what does not turn does not tremble;
- pixels are Bernoulli, as in the tables of Moving MNIST, so that the bound is in nats and the
  divergence has no weight to choose.

Its deterministic twin takes for the latents of frames to come what the prior expects.
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.gaussians import component, divergence, sampled
from vgzoo.layers.placing import moments, place, set_back, waves
from vgzoo.layers.scene import PATCH, Find, PutTogether, TakeApart, template
from vgzoo.layers.spacetime import he_normal, leaky
from vgzoo.models.base import VideoModel, register
from vgzoo.optimizers import Muon

_CLIPS = 16  # whose bounds are found at a time
_SURE = 3.0  # a posterior's first scale is exp(-this)
_PACE = np.array([0.1, 0.1, 0.01], "float32")  # of an output: halves of a frame (y, x), octaves


@register
class SVG(VideoModel):
    """Stochastic forecasting; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; frames are those seen and those
            to come together, and sides multiples of 4 pixels.
        context: how many frames are seen.
        objects: how many layers there are.
        filters, blocks: channels and residual blocks of the encoder.
        hidden: length of a layer's state.
        latent: length of a layer's latent at each step, of which y, x and size are the first three.
        components: Gaussians of the prior.
        deterministic: whether a past has one future, in which latents are what is expected.
        reach: pixels, each way, in which a layer is looked for in the next frame.
        detail: channels of what turns layers into pixels.

    Example:

    >>> model = SVG(frames=8, height=16, width=16, filters=8, blocks=1, hidden=8)
    >>> clip = np.zeros((5, 16, 16, 1), "uint8")
    >>> model.forecast(clip, n=4).shape
    (4, 3, 16, 16, 1)
    """

    family = "vae"
    tasks = ("forecast",)
    references = ("arXiv:1802.07687", "arXiv:2002.09219", "arXiv:1806.04166")
    any_length = True
    logged = ("nll", "kl")

    def __init__(
        self,
        *,
        frames: int = 25,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        context: int = 5,
        objects: int = 2,
        filters: int = 128,
        blocks: int = 4,
        hidden: int = 128,
        latent: int = 4,
        components: int = 1,
        deterministic: bool = False,
        reach: int = 8,
        detail: int = 32,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height % PATCH or width % PATCH:
            raise VgzooError(f"height and width must be multiples of 4, not {height}×{width}")
        if not 2 <= context < frames:
            raise VgzooError(f"context must be 2 to {frames - 1} of {frames} frames, not {context}")
        if deterministic and components != 1:
            raise VgzooError(f"components must be 1 without noise, not {components}")
        if latent < 3:
            raise VgzooError(f"latent must be at least 3, for y, x and size, not {latent}")
        self.context, self.objects = context, objects
        self.latent, self.components, self.deterministic = latent, components, deterministic
        self.sizes = {"filters": filters, "blocks": blocks, "hidden": hidden}
        self.sizes |= {"reach": reach, "detail": detail}
        self.encoder = TakeApart(count=objects, channels=channels, filters=filters, blocks=blocks)
        self.find = Find(reach, name="find")
        self.begin = layers.Dense(hidden, activation="tanh", name="begin")
        self.start = layers.Dense(3, kernel_initializer="zeros", name="start")
        self.onward = layers.Dense(3, use_bias=False, kernel_initializer="zeros", name="onward")
        self.turn = layers.Dense(hidden, activation="tanh", name="turn")
        self.cell = layers.GRUCell(hidden, name="cell")
        self.change = layers.Dense(3, use_bias=False, kernel_initializer="identity", name="change")
        values = latent if deterministic else 2 * latent
        several = components * (values + 1) if components > 1 else values
        self.prior = _two_layers(hidden, several, "prior")
        self.posterior = _two_layers(hidden, values, "posterior")
        self.screen = PutTogether(channels=channels, filters=detail)
        clip = keras.KerasTensor((1, context + 1, height, width, channels), self.compute_dtype)
        self._bound(clip, keras.KerasTensor((1, *self.noise_shape(1))))

    def get_config(self) -> dict:
        own = ("context", "objects", "latent", "components", "deterministic")
        return super().get_config() | {key: getattr(self, key) for key in own} | self.sizes

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    # -- likelihood ------------------------------------------------------------------------

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The negative lower bound of the likelihood of what comes after the context, per value.

        And that of the context as its layers are followed through it, which says where they were,
        so how fast they are. What is logged is per frame to come. A loss of thousands would be too
        much for plain SGD.
        """
        clip = self.network_clip(x)
        noise = (ops.shape(clip)[0], *self.noise_shape(self._to_come(clip)))
        step = self.next_noise_step()
        seen, nll, kl = self._bound(clip, random.normal(noise, seed=self.seed, step=step))
        seen, nll, kl = map(ops.mean, (seen, nll, kl))
        self.track(nll=nll, kl=kl)
        return (seen + nll + kl) / (self.height * self.width * self.channels)

    def elbo(self, clips, *, seed: int = 0) -> np.ndarray:
        """Lower bounds of the log-probabilities of what follows the context of clips.

        A grey pixel counts as so much of a white and so much of a black one, as in the tables of
        Moving MNIST.

        Args:
            clips: `(B, T, H, W, C)`, uint8 or float in [0, 1], T more than the context.
            seed: of the latents drawn by the posterior, one of each for every step.

        Returns:
            float64 `(B,)`: nats, of all frames after the context together.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: frames of another size or kind, or too few.
        """
        clips = self.checked_clips(clips, least=self.context + 1)
        shape = self.noise_shape(self._to_come(clips))
        bounds = np.empty(len(clips))
        bound = self._coder("elbo", self._bound_of_uint8)
        for i in range(0, len(clips), _CLIPS):
            noise = random.normal_rows(seed, i, _CLIPS, shape)
            rows = np.arange(i, i + _CLIPS).clip(max=len(clips) - 1)  # the last batch is filled up
            found = ops.convert_to_numpy(bound(clips[rows], noise))
            bounds[i : i + _CLIPS] = found[: len(clips) - i]
        return bounds

    def _bound_of_uint8(self, clip, noise):
        _, nll, kl = self._bound(ops.cast(clip, self.compute_dtype) / 127.5 - 1, noise)
        return -ops.sum(nll + kl, axis=1)

    def _bound(self, clip, noise):
        """Clip in [-1, 1] → nats of frames, `(B, T)` each.

        Of the pixels of those seen, of the pixels of those to come, of their latents.
        """
        context, future = ops.split(clip, [self.context], axis=1)
        state, path = self._followed(context)
        seen = ops.repeat(_light(future), self.objects, axis=0)
        divergences = []
        for t in range(future.shape[1]):
            frame = None if self.deterministic else seen[:, t]
            state, kl = self._step(state, noise[:, t], frame)
            path.append(state["place"])
            divergences.append(ops.sum(ops.reshape(kl, (-1, self.objects)), axis=1))
        logits = self._shown(state["drawn"], ops.stack(path, axis=1))
        truth = ops.cast(_light(clip), "float32")
        nll = ops.sum(ops.softplus(logits) - logits * truth, axis=(2, 3, 4))
        return *ops.split(nll, [self.context], axis=1), ops.stack(divergences, axis=1)

    def _to_come(self, clip) -> int:
        frames = clip.shape[1] - self.context
        if frames < 1:
            raise VgzooError(
                f"clips of {clip.shape[1]} frames came; {self.name} learns from what comes after "
                f"the first {self.context}"
            )
        return frames

    # -- forecasting -----------------------------------------------------------------------

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        # Where the prior has several components, one number more says which.
        latent = self.latent + (self.components > 1)
        return (frames, self.objects, 0 if self.deterministic else latent)

    def initial_state(self, context, copies: int = 1):
        state, _ = self._followed(context)
        if copies == 1:
            return state
        return {key: self._copied(value, copies) for key, value in state.items()}

    def _followed(self, context):
        """The state after a context, and where its layers were at each of its frames."""
        context = _light(context)
        drawn, features = self.encoder(context)
        hidden = self.begin(features)
        state = {"drawn": drawn, "hidden": hidden, "shape": moments(drawn)}
        state["template"] = template(drawn)
        state["speed"] = ops.multiply(ops.cast(self.start(hidden), "float32"), _PACE)
        state["place"] = ops.zeros_like(state["speed"])
        path, before = [state["place"]], state
        for frame in ops.unstack(ops.repeat(context, self.objects, axis=0), axis=1)[-2::-1]:
            before, _ = self._step(before, frame=frame)
            path.append(before["place"])
        way = ops.divide(ops.concatenate(path[1:], axis=-1), np.tile(_PACE, len(path) - 1))
        known = [features, before["hidden"], ops.cast(way, features.dtype)]
        state["hidden"] = self.turn(ops.concatenate(known, axis=-1))
        # As it came, so it goes on; of how it came, each step back knows more.
        onward = ops.cast(self.onward(known[-1]), "float32")
        state["speed"] = ops.multiply(onward, _PACE) - path[1]
        return state, path[::-1]

    def _copied(self, x, copies: int):
        """`(B·K, …)` → `(B·copies·K, …)`."""
        x = ops.reshape(x, (-1, self.objects, *x.shape[1:]))
        return ops.reshape(ops.repeat(x, copies, axis=0), (-1, *x.shape[2:]))

    def rollout(self, state, noise):
        path = []
        for t in range(noise.shape[1]):
            state, _ = self._step(state, noise[:, t])
            path.append(state["place"])
        logits = self._shown(state["drawn"], ops.stack(path, axis=1))
        return 2 * ops.sigmoid(logits) - 1, state

    def _step(self, state, noise=None, frame=None):
        """The state one frame later, and nats `(B·K,)` of its latents where the frame is seen.

        Without noise latents are what is most likely.
        """
        hidden, place_, shape = (state[key] for key in ("hidden", "place", "shape"))
        centre, _ = ops.split(shape, 2, axis=-1)
        now, size = ops.split(place_, [2], axis=-1)
        ahead, _ = ops.split(place_ + state["speed"], [2], axis=-1)
        about = [waves(centre + now), waves(centre + ahead), shape, size]
        about += [ops.divide(state["speed"], _PACE)]
        about = ops.cast(ops.concatenate(about, axis=-1), hidden.dtype)
        known = ops.concatenate([hidden, about], axis=-1)
        kl = ops.zeros_like(place_[:, 0])
        prior = self._mixture(known)
        draw = which = None
        if noise is not None and not self.deterministic:
            noise = ops.reshape(noise, (-1, noise.shape[-1]))
            draw, which = ops.split(noise, [self.latent], axis=-1)
        if frame is None:
            latent = sampled(*component(prior, which), draw)
        else:
            # From where it would be if it went on as it did: what is new is what is seen. A place
            # that is found does not hang on where it was looked for.
            there = ops.stop_gradient(place_ + state["speed"])
            found = self.find(set_back(frame, there), state["template"])
            off, well = ops.split(found, [2], axis=-1)
            new = there - place_ - state["speed"]
            new = new + ops.pad(off * 2 ** ops.split(there, [2], axis=-1)[1], ((0, 0), (0, 1)))
            new = ops.divide(new, _PACE)
            seen = ops.cast(ops.concatenate([new, well], axis=-1), known.dtype)
            seen = self.posterior(ops.concatenate([known, seen], axis=-1))
            mean, *log_scale = ops.split(ops.cast(seen, "float32"), [self.latent], axis=-1)
            mean = mean + ops.pad(new, ((0, 0), (0, self.latent - 3)))
            log_scale = None if self.deterministic else log_scale[0] - _SURE
            latent = sampled(mean, log_scale, draw)
            if not self.deterministic:
                kl = divergence(mean, log_scale, latent, prior)
        latent = ops.cast(latent, hidden.dtype)
        hidden, _ = self.cell(ops.concatenate([about, latent], axis=-1), hidden)
        change = ops.cast(self.change(latent), "float32")
        speed = state["speed"] + ops.multiply(change, _PACE)
        return state | {"hidden": hidden, "speed": speed, "place": place_ + speed}, kl

    def _mixture(self, known):
        """The prior: `(N, components)` logarithms of weights, and of each the mean and scale.

        A scale is a logarithm too, None where there is none. The first component begins narrow.
        """
        out = ops.cast(self.prior(known), "float32")
        if self.deterministic:
            return ops.zeros_like(out[:, :1]), [(out, None)]
        if self.components == 1:
            return ops.zeros_like(out[:, :1]), [ops.split(out, 2, axis=-1)]
        weights, *values = ops.split(
            out, [self.components + 2 * self.latent * i for i in range(self.components)], axis=-1
        )
        gaussians = [ops.split(value, 2, axis=-1) for value in values]
        offsets = np.linspace(1 - _SURE, 0, self.components)
        gaussians = [(m, s + float(o)) for (m, s), o in zip(gaussians, offsets, strict=True)]
        return ops.log_softmax(weights, axis=-1), gaussians

    def _shown(self, drawn, path):
        """Layers `(B·K, H, W, C)` on paths `(B·K, T, 3)` → logits `(B, T, H, W, C)`."""
        placed = place(drawn, path, self.height, self.width)
        placed = ops.reshape(placed, (-1, self.objects, *placed.shape[1:]))
        return self.screen(ops.transpose(placed, (0, 2, 3, 4, 1, 5)))


def _two_layers(hidden: int, out: int, name: str) -> keras.Sequential:
    first = layers.Dense(hidden, activation=leaky, kernel_initializer=he_normal(), name="hidden")
    last = layers.Dense(out, kernel_initializer="zeros", name="out")
    return keras.Sequential([first, last], name=name)


def _light(clip):
    """[-1, 1] → [0, 1]."""
    return (clip + 1) / 2


MODEL = SVG

"""What every model of the zoo shares: the loop that makes clips, the noise, the way into `fit`."""

import contextlib
import math
from collections.abc import Callable, Iterable
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.models._editing import Editing
from vgzoo.models._filling import Filling, check_steps
from vgzoo.models._forecasting import Forecasting, check_numbers, progress_bar, to_uint8


class VideoModel(Forecasting, Filling, Editing, keras.Model):
    """A network that makes, continues or edits clips.

    A subclass takes its configuration as constructor arguments, builds its networks there, and
    writes `sample` (noise → clip), `noise_shape` and `compute_loss`. Everything else is here, so
    that stock `compile` and `fit` train it on every backend.

    Args:
        frames: frames of a clip as trained.
        height, width: pixels of a frame.
        channels: 1 for grey, 3 for RGB.
        seed: seed of the noise drawn while training.
    """

    arch: ClassVar[str]
    family: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("generate",)
    references: ClassVar[tuple[str, ...]] = ()
    logged: ClassVar[tuple[str, ...]] = ()  # scalars that `track` shows beside the loss
    options: ClassVar[tuple[str, ...]] = ()  # of generate's "labels" and "steps", those it takes
    settings: ClassVar[tuple[str, ...]] = ()  # attributes that change what is made of noise
    any_length: ClassVar[bool] = False  # whether clips of other lengths can be trained on
    classes: int = 0  # how many there are, for models that know classes
    label_shape: tuple[int, ...] = ()  # of one clip's classes
    side_step: ClassVar[int] = 0  # whose multiples the sides of clips to train on may be
    learns_from_flow: ClassVar[bool] = False  # whether clips are trained on with their flow
    small_steps: bool = False  # whether a sample takes thousands, each of few numbers
    fitted_to: ClassVar[int] = 0  # clips that `fit_to` wants when the weights are done

    def __init__(
        self, *, frames: int, height: int, width: int, channels: int, seed: int = 0
    ) -> None:
        super().__init__(name=self.arch)
        if channels not in (1, 3):
            raise VgzooError(f"channels must be 1 (grey) or 3 (RGB), not {channels}")
        if frames < 1:
            raise VgzooError(f"frames must be at least 1, not {frames}")
        self.frames, self.height, self.width, self.channels = frames, height, width, channels
        self.seed = seed
        self.trackers = [keras.metrics.Mean(name=name) for name in self.logged]
        # Held by the model, not read from the optimizer: under JAX the optimizer's counter is a
        # constant inside the compiled loss.
        self.noise_step = self.add_weight(
            name="noise_step",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._deferred: dict[str, Callable[[], None]] = {}
        self._samplers: dict[tuple, Callable] = {}
        self._coders: dict[tuple, Callable] = {}
        self.built = True

    # -- configuration ---------------------------------------------------------------------

    @property
    def clip_spec(self) -> dict[str, int]:
        """`frames`, `height`, `width` and `channels` of the clips the model was made for."""
        return {k: getattr(self, k) for k in ("frames", "height", "width", "channels")}

    def get_config(self) -> dict:
        return {**self.clip_spec, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict) -> "VideoModel":
        return cls(**config)

    def tensor_groups(self) -> dict[str, list[keras.Variable]]:
        """Variables by the file that holds them; `"model"` is what inference needs."""
        return {"model": [v for v in self.weights if v is not self.noise_step]}

    def defer(self, group: str, load: Callable[[], None]) -> None:
        """Have `load` fill a group of tensors once training starts, and not before."""
        self._deferred[group] = load

    # -- training --------------------------------------------------------------------------

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer of `compile()`: the one the bundled weights were trained with."""
        return keras.optimizers.Adam(1e-4, use_ema=True, ema_momentum=0.999)

    def compile(self, optimizer=None, *, jit_compile="auto", **kwargs) -> None:
        """Keras' `compile`; without arguments it uses `default_optimizer()`.

        There is no `loss` argument: the objective is the model's own.
        """
        if "loss" in kwargs:
            raise VgzooError(f"{self.arch} has its own objective: call compile() without loss=")
        for group in list(self._deferred):
            self._deferred.pop(group)()
        if jit_compile == "auto" and not _xla_pays():
            jit_compile = False
        super().compile(optimizer or self.default_optimizer(), jit_compile=jit_compile, **kwargs)

    def make_train_function(self, force=False):
        """Keras' own, with the optimizer's variables made before: not within the step.

        TensorFlow traces a step twice that makes variables.
        """
        if not (self.run_eagerly or self.optimizer.built):
            strategy = getattr(self, "distribute_strategy", None)
            with strategy.scope() if strategy else contextlib.nullcontext():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def _compute_loss(self, *args, **kwargs):
        loss = super()._compute_loss(*args, **kwargs)
        if keras.backend.backend() != "tensorflow":
            return loss
        import tensorflow as tf

        # As Keras' own losses do: gradients are summed over replicas, and the loss is a mean.
        return loss / tf.distribute.get_strategy().num_replicas_in_sync

    @classmethod
    def learns_from_truth(cls, kwargs: dict) -> bool:
        """Whether a model of such arguments is trained on how clips were made, beside the clips."""
        return cls.family == "judge"

    def end_burn_in(self) -> None:
        """Drops what only the first steps of a training need; called when a recipe is done."""

    def fit_to(self, clips: Iterable[np.ndarray]) -> None:
        """Fits, to batches of real clips, what is not trained by gradients.

        Called when a recipe is done, where a model says in `fitted_to` how many clips it wants.
        """

    def call(self, inputs, training=None):
        """Hands the batch on: the objective sees it as it came."""
        return inputs

    def network_clip(self, batch):
        """The clip of a batch as networks see it: float in [-1, 1], `(B, T, H, W, C)`.

        Args:
            batch: a clip tensor or a dict with `"clip"`; uint8, or float in [0, 1].
        """
        clip = ops.convert_to_tensor(batch["clip"] if isinstance(batch, dict) else batch)
        wanted = list(self.clip_spec.values())
        fits = [came in (None, want) for came, want in zip(clip.shape[1:], wanted, strict=False)]
        if self.any_length:
            wanted[0], fits[:1] = "any", [True]
        if self.side_step:
            wanted[1:3] = [f"a multiple of {self.side_step}"] * 2
            fits[1:3] = [not (side or 0) % self.side_step for side in clip.shape[2:4]]
        if len(clip.shape) != 5 or not all(fits):
            raise VgzooError(
                f"{self.name} trains on clips (B, {', '.join(map(str, wanted))}); "
                f"got {tuple(clip.shape)}"
            )
        scale = 1 / 127.5 if keras.backend.standardize_dtype(clip.dtype) == "uint8" else 2.0
        return ops.cast(clip, self.compute_dtype) * scale - 1

    def next_noise_step(self):
        """The number of this training step, for `vgzoo.random`; counts up."""
        step = ops.add(self.noise_step, 0)  # under TensorFlow a tensor, not the variable itself
        self.noise_step.assign(step + 1)
        return step

    def track(self, **values) -> None:
        """Show scalars beside the loss, averaged over the epoch."""
        for tracker in self.trackers:
            tracker.update_state(values[tracker.name])

    # -- generation ------------------------------------------------------------------------

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """Shape of one clip's noise."""
        raise self._does_not("generate")

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        """Noise `(B, *noise_shape(frames))` → clip `(B, frames, H, W, C)` in [-1, 1]."""
        raise self._does_not("generate")

    def generate(
        self,
        n: int = 1,
        *,
        seed: int = 0,
        labels=None,
        frames: int | None = None,
        steps: int | None = None,
        temperature: float = 1.0,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Make `n` new clips.

        Clip i depends on the seed and on i alone: not on `n`, not on the batch size, not on any
        global random state.

        Args:
            n: how many clips.
            seed: which clips, an integer ≥ 0.
            labels: classes, for models that know classes: `(n, *label_shape)`, or of one clip for
                all; drawn from the seed if None.
            frames: length of the clips; as trained if None.
            steps: network evaluations, for models that sample in steps.
            temperature: factor on the noise; below 1 gives more typical, less varied clips.
            batch_size: clips at a time; 16 if None.
            verbose: 1 shows a progress bar.

        Returns:
            uint8 `(n, frames, height, width, channels)`.

        Raises:
            VgzooError: an argument that this model does not take, or out of its range.
        """
        if "generate" not in self.tasks:
            raise self._does_not("generate")
        frames = self.frames if frames is None else frames
        batch_size = 16 if batch_size is None else batch_size
        check_numbers(n, frames, seed, batch_size, temperature)
        for name, value in (("labels", labels), ("steps", steps)):
            if value is not None and name not in self.options:
                raise VgzooError(f"{self.name} has no use for {name}: call generate() without")
        check_steps(steps)
        size = min(batch_size, n)
        if "labels" in self.options:
            labels = self.checked_labels(labels, n, seed)
        key = (size, frames, steps, labels is not None, *self._settings())
        if key not in self._samplers:
            self._samplers[key] = self._compile_sampler(frames, steps)
        progress = progress_bar(n, "clip", verbose)
        clips = np.empty((n, frames, self.height, self.width, self.channels), "uint8")
        for start in range(0, n, size):
            count = min(size, n - start)
            # The last batch is filled up, so that one compiled function serves all.
            noise = random.normal_rows(seed, start, size, self.noise_shape(frames)) * temperature
            classes = labels
            if labels is not None:
                classes = np.resize(labels[start : start + count], (size, *labels.shape[1:]))
            made = self._samplers[key](noise.astype("float32"), classes)
            clips[start : start + count] = ops.convert_to_numpy(made)[:count]
            progress(start + count)
        return clips

    def checked_labels(self, labels, n: int, seed: int) -> np.ndarray:
        """Classes of n clips, int32 `(n, *label_shape)`: those given, or drawn from the seed."""
        shape = (n, *self.label_shape)
        if labels is None:
            drawn = random.uniform_rows(seed, 0, n, math.prod(self.label_shape))
            return (drawn * self.classes).astype("int32").reshape(shape)
        labels = np.asarray(labels)
        if labels.shape not in (shape, shape[1:]) or labels.dtype.kind not in "iu":
            raise VgzooError(
                f"labels of {n} clips are whole numbers {shape}, or {shape[1:]} for all; got "
                f"{labels.dtype} {labels.shape}"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < self.classes:
            raise VgzooError(f"labels must lie between 0 and {self.classes - 1}, not {labels}")
        return np.broadcast_to(labels, shape).astype("int32")

    def _compile_sampler(self, frames: int, steps: int | None) -> Callable:
        """`(noise, labels) → uint8 clip`, compiled by the backend."""

        def run(noise, labels):
            return to_uint8(self.sample(noise, labels=labels, frames=frames, steps=steps))

        return self.compiled_function(run, small_steps=self.small_steps)

    # -- compiled functions ----------------------------------------------------------------

    def _coder(self, name: str, run: Callable, small_steps: bool = False) -> Callable:
        """A compiled function, kept by its name."""
        key = name, *self._settings()
        if key not in self._coders:
            self._coders[key] = self.compiled_function(run, small_steps=small_steps)
        return self._coders[key]

    def _settings(self) -> tuple:
        """What goes into compiled functions and may be set: for others these are compiled anew."""
        return tuple(getattr(self, name) for name in self.settings)

    def compiled_function(self, run: Callable, *, small_steps: bool = False) -> Callable:
        """A function of trees of tensors over the model's weights, compiled by the backend.

        Of many small steps XLA makes few larger ones, which pays on any device.
        """
        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            return tf.function(run, jit_compile=small_steps or _xla_pays(), autograph=False)
        if backend == "jax":
            import jax

            variables = self.tensor_groups()["model"]

            @jax.jit
            def stateless(values, *inputs):
                with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
                    return run(*inputs)

            return lambda *inputs: stateless([v.value for v in variables], *inputs)
        import torch

        def tensor(x):
            return x if x is None else ops.convert_to_tensor(x)

        def without_gradients(*inputs):
            with torch.no_grad():
                return run(*keras.tree.map_structure(tensor, inputs))

        return without_gradients


def register(cls: type[VideoModel]) -> type[VideoModel]:
    """Class decorator: makes a class its file's architecture."""
    cls.arch = cls.__module__.rpartition(".")[2]
    return keras.saving.register_keras_serializable("vgzoo", cls.arch)(cls)


def input_gradient(score: Callable, x):
    """Gradient of `sum(score(x))` with respect to `x`, itself differentiable."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            total = ops.sum(score(x))
        return tape.gradient(total, x)
    if backend == "jax":
        import jax

        return jax.grad(lambda c: ops.sum(score(c)))(x)
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        return torch.autograd.grad(ops.sum(score(x)), x, create_graph=True)[0]


def _xla_pays() -> bool:
    """XLA is slower than the plain graph on a CPU under TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return keras.backend.backend() == "jax"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))

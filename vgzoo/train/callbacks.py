"""What happens between the epochs of a run."""

import contextlib
import math
import time
from pathlib import Path

import keras

from vgzoo import video
from vgzoo.models.base import VideoModel
from vgzoo.train import checkpoint, curves, shown
from vgzoo.train.distribution import Spread


@contextlib.contextmanager
def averaged(model: VideoModel):
    """The model with its weight average in place of its weights."""
    variables = model.trainable_variables
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    model.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


_GROWN = 1e3  # times as large as ever before: a loss that only a run that diverges has


class Keep(keras.callbacks.Callback):
    """Writes a checkpoint after each epoch, unless something is not finite or has burst."""

    def __init__(self, out: Path, recipe: dict, step: int, spread: Spread):
        super().__init__()
        self.out, self.recipe, self.step, self.spread = out, recipe, step, spread
        self.most = 0.0  # of the loss, before the first epoch

    def on_epoch_end(self, epoch, logs=None):
        self.step += self.recipe["epoch_steps"]
        for name, value in (logs or {}).items():
            burst = self.most and name == "loss" and abs(value) > _GROWN * self.most
            if burst or not math.isfinite(value):
                raise checkpoint.NotFinite(
                    f"{name} is {value:.3g} at step {self.step}; the last good checkpoint is kept "
                    f"in {self.out}: lower the learning rate, or train in float32"
                )
        self.most = max(self.most, abs((logs or {}).get("loss", 0.0)), 1.0)
        checkpoint.save(self.out, self.model, self.spread, step=self.step, recipe=self.recipe)


class Log(keras.callbacks.Callback):
    """Scalars to `log.csv` and, where tensorboard is installed, to event files with film strips.

    Without a folder nothing is written, though clips are made: on several hosts all must take part.
    """

    def __init__(self, out: Path | None, recipe: dict, step: int, batch_size: int):
        super().__init__()
        self.out, self.recipe, self.step, self.batch_size = out, recipe, step, batch_size
        self.begin = time.perf_counter()
        self.events = _event_writer(out) if out else None

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        steps = self.recipe["epoch_steps"]
        self.step += steps
        seconds = time.perf_counter() - self.begin
        row = {
            "step": self.step,
            "clips_per_s": round(steps * self.batch_size / seconds, 2),
            **{k: float(v) for k, v in sorted((logs or {}).items())},
        }
        if self.out:
            curves.add(self.out, row)
            self._scalars(row)
        sampled = self.step % (steps * self.recipe["sample_epochs"]) == 0
        if sampled and self.model.family != "judge":
            self._strip()

    def on_train_end(self, logs=None):
        if self.events:
            self.events.close()

    def _scalars(self, row: dict) -> None:
        if not self.events:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=k, simple_value=v) for k, v in row.items() if k != "step"]
        self._write(Summary(value=values))

    def _strip(self) -> None:
        """Four clips of the averaged network."""
        with averaged(self.model):
            clips = shown.clips(self.model, self.recipe)
        if not self.out:
            return
        (self.out / "samples").mkdir(exist_ok=True)
        path = video.write(self.out / "samples" / f"{self.step:07d}.png", clips, scale=1)
        if not self.events:
            return
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = Image.open(path).size
        picture = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
        )
        self._write(Summary(value=[Summary.Value(tag="clips", image=picture)]))

    def _write(self, summary) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self.events.add_event(Event(wall_time=time.time(), step=self.step, summary=summary))
        self.events.flush()


class Clock(keras.callbacks.Callback):
    """Progress with clips/s and the time left; stops the run when its minutes are over."""

    def __init__(
        self,
        step: int,
        total: int,
        batch_size: int,
        deadline: float,
        verbose: int,
        spread: Spread,
    ):
        super().__init__()
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.step, self.batch_size = step, batch_size
        self.deadline, self.spread = deadline, spread
        self.last_epoch = time.monotonic()
        self.longest = 0.0
        self.bar = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.fields[rate]:.1f} clips/s"),
            TimeRemainingColumn(),
            disable=not verbose,
        )
        self.task = self.bar.add_task("train", total=total, completed=step, rate=0.0)
        self.begin, self.first = time.monotonic(), step

    def on_train_begin(self, logs=None):
        self.bar.start()

    def on_train_end(self, logs=None):
        self.bar.stop()

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        seconds = time.monotonic() - self.begin
        rate = (self.step - self.first) * self.batch_size / max(seconds, 1e-9)
        self.bar.update(self.task, completed=self.step, rate=rate)

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last_epoch)
        self.last_epoch = now
        # Clocks differ; all hosts must stop at the same step.
        if self.spread.tell(lambda: now + self.longest > self.deadline):
            self.model.stop_training = True


def _event_writer(out: Path):
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        return None
    return EventFileWriter(str(out / "events"))

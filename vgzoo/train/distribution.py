"""Where a training step runs: on one device, on several of this host, or on several hosts.

Whatever it is, the step is the one that a single device would take with the whole batch: the batch
is divided, noise is drawn for all of it (`vgzoo.random`), and losses are means over all of it.

- TensorFlow: `tf.distribute.MirroredStrategy` over the GPUs of this host.
- JAX: `keras.distribution.DataParallel` over the GPUs of this host or, with `Hosts`, over those of
  every host: one process each, that talk by NCCL or, on CPUs, by gloo.

Only the first host reads and writes files of the run; the others hear from it.
"""

import contextlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.train.hosts import WHAT_NOW, Hosts

HEARTBEAT_S = 60  # a host that is silent for so long is lost
_GOODBYE_S = 20  # how long a host that is done waits for the others
_CONNECT_S = 300
_MESSAGE_BYTES = 1 << 13
_LOST = re.compile(r"gloo|nccl|coordination|heartbeat|connection|peer|UNAVAILABLE", re.IGNORECASE)


class HostLost(VgzooError):
    """Another host of the run no longer answers."""


class SharedError(VgzooError):
    """An error that every host of a run meets at once."""


@dataclass(frozen=True)
class Spread:
    """What a run is spread over: `devices` in all, and `shard`, (index, hosts)."""

    devices: int = 1
    shard: tuple[int, int] = (0, 1)

    @property
    def first(self) -> bool:
        """Whether this host is the one that reads and writes."""
        return self.shard[0] == 0

    def tell(self, make: Callable[[], object]):
        """What `make` returns on the first host, on every host; its VgzooError too.

        Args:
            make: called on the first host only; returns what JSON can hold.
        """
        if self.shard[1] == 1:
            return make()
        said: dict = {}
        if self.first:
            try:
                said = {"value": make()}
            except VgzooError as error:
                said = {"error": str(error)[: _MESSAGE_BYTES // 8]}
        text = json.dumps(said).encode()
        if len(text) > _MESSAGE_BYTES:
            raise ValueError(f"a message of {len(text)} bytes; {_MESSAGE_BYTES} fit")
        message = np.frombuffer(text.ljust(_MESSAGE_BYTES), "uint8")
        said = json.loads(self.share([message])[0].tobytes())
        if "error" in said:
            raise SharedError(said["error"])
        return said["value"]

    def share(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """The first host's arrays, on every host; the others give some of the same shapes."""
        if self.shard[1] == 1:
            return arrays
        from jax.experimental import multihost_utils

        # As one array of bytes: each shape would be compiled anew.
        flat = np.concatenate([np.ravel(a).view("uint8") for a in arrays])
        flat = np.asarray(multihost_utils.broadcast_one_to_all(flat))
        parts = np.split(flat, np.cumsum([a.nbytes for a in arrays])[:-1])
        return [p.view(a.dtype).reshape(a.shape) for p, a in zip(parts, arrays, strict=True)]

    def check_batch(self, batch_size: int) -> None:
        """Raises VgzooError unless the devices can divide a batch."""
        if batch_size % self.devices:
            raise VgzooError(
                f"a batch of {batch_size} clips cannot be divided among {self.devices} devices: "
                "take fewer, or change batch_size in the recipe"
            )


@contextlib.contextmanager
def connected(hosts: Hosts | None) -> Iterator[None]:
    """A context in which the hosts of a run talk to each other; nothing for one host.

    Raises:
        HostLost: another host does not come, died, or no longer answers.
        VgzooError: the backend has no means for several hosts.
    """
    if hosts is None:
        yield
        return
    if keras.backend.backend() != "jax":
        raise VgzooError(f"several hosts need KERAS_BACKEND=jax; this is {keras.backend.backend()}")
    import jax

    me = f"host {hosts.index} of {hosts.count}"
    # `keras.distribution.initialize` is this call with timeouts of minutes.
    try:
        jax.distributed.initialize(
            hosts.coordinator,
            hosts.count,
            hosts.index,
            initialization_timeout=_CONNECT_S,
            heartbeat_timeout_seconds=HEARTBEAT_S,
            shutdown_timeout_seconds=_GOODBYE_S,
        )
    except RuntimeError as error:
        raise HostLost(
            f"{me} could not meet the others at {hosts.coordinator} ({_first_line(error)}): "
            f"start all of them within {_CONNECT_S} s"
        ) from error
    try:
        yield
    except SharedError:
        jax.distributed.shutdown()  # together, or the last ones would be aborted
        raise
    except (RuntimeError, ValueError) as error:  # what XLA raises for a broken collective
        if isinstance(error, VgzooError) or not _LOST.search(str(error)):
            raise
        raise HostLost(
            f"{me} lost another one ({_first_line(error)}); the last checkpoint is kept on "
            f"host 0: {WHAT_NOW}"
        ) from error
    jax.distributed.shutdown()


@contextlib.contextmanager
def spread(devices: Sequence[str] | None = None, hosts: Hosts | None = None) -> Iterator[Spread]:
    """A context in which models are built and trained on all of the devices.

    Args:
        devices: of this host, as `"GPU:0"`; all its GPUs if None. Not together with `hosts`.
        hosts: which of several `connected` hosts this is; every one must enter.

    Raises:
        VgzooError: what the backend has no means for, or devices that are not there.
    """
    backend = keras.backend.backend()
    if hosts is not None:
        if devices is not None:
            raise VgzooError("devices are chosen on one host; several hosts take all of theirs")
        yield from _data_parallel(None, (hosts.index, hosts.count))
    elif backend == "tensorflow":
        yield from _mirrored(devices)
    elif backend == "jax":
        yield from _data_parallel(devices, (0, 1))
    elif devices is not None and len(devices) > 1:
        raise VgzooError(f"several devices need tensorflow or jax; this is {backend}")
    else:
        yield Spread()


def hardware() -> str:
    """The processors of a run, in words."""
    gpus: list[str] = []
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        gpus = [tf.config.experimental.get_device_details(d).get("device_name", "") for d in found]
    elif backend == "jax":
        import jax

        gpus = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    if gpus:
        return ", ".join(f"{gpus.count(g)} × {g or 'GPU'}" for g in dict.fromkeys(gpus))
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def _mirrored(devices: Sequence[str] | None) -> Iterator[Spread]:
    import tensorflow as tf

    present = [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices()]
    chosen = [d for d in present if d.startswith("GPU")] if devices is None else list(devices)
    _check_present(chosen, present)
    if len(chosen) < 2:
        with tf.device(chosen[0]) if devices else contextlib.nullcontext():
            yield Spread()
        return
    with tf.distribute.MirroredStrategy(chosen).scope():
        yield Spread(len(chosen))


def _data_parallel(devices: Sequence[str] | None, shard: tuple[int, int]) -> Iterator[Spread]:
    import jax

    present = keras.distribution.list_devices()
    if devices is not None:
        chosen = [d.lower() for d in devices]
        _check_present(chosen, present)
    else:
        # Several CPU devices are several cores, which one device has anyway.
        chosen = present if shard[1] > 1 or jax.default_backend() != "cpu" else present[:1]
    if len(chosen) < 2:
        yield Spread()
        return
    before = keras.distribution.distribution()
    # Each host reads its own part of a batch: there is nothing for Keras to divide.
    parallel = keras.distribution.DataParallel(devices=chosen, auto_shard_dataset=False)
    keras.distribution.set_distribution(parallel)
    try:
        yield Spread(len(chosen), shard)
    finally:
        keras.distribution.set_distribution(before)


def _check_present(chosen: Sequence[str], present: Sequence[str]) -> None:
    for device in chosen:
        if device not in present:
            raise VgzooError(f"no device {device!r} here; there are: {', '.join(present)}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]

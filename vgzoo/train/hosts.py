"""One of several hosts of a run, before any backend is imported."""

import ctypes
import os
import re
import signal
import sys
from dataclasses import dataclass

from vgzoo.errors import VgzooError

WHAT_NOW = "start the same command on every host again with --resume"


@dataclass(frozen=True)
class Hosts:
    """Which one of several hosts this is.

    Args:
        coordinator: `"host:port"` of the first host, free there and in reach of all.
        count: how many hosts there are.
        index: which one this is, from 0.
    """

    coordinator: str
    count: int
    index: int

    def __post_init__(self):
        if not re.fullmatch(r"\S+:\d+", self.coordinator):
            raise VgzooError(f"coordinator must be host:port, not {self.coordinator!r}")
        if self.count < 2:
            raise VgzooError(f"hosts must be at least 2, not {self.count}; leave it out for one")
        if not 0 <= self.index < self.count:
            raise VgzooError(
                f"host must lie between 0 and {self.count - 1} for {self.count} hosts, "
                f"not {self.index}"
            )


def guard(hosts: Hosts) -> None:
    """Goes on in a child process, and has this one wait for it and explain its end.

    When the first host dies, JAX aborts the others from a thread of its own, before Python can say
    anything: so another process has to. Call it before a backend is imported.
    """
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _die_with(parent)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name
        print(
            f"Error: host {hosts.index} of {hosts.count} was ended by {name}, as happens when "
            f"another host is lost; the last checkpoint is kept on host 0: {WHAT_NOW}",
            file=sys.stderr,
            flush=True,
        )
    os._exit(2 if code < 0 else code)


def leave(code: int) -> None:
    """Ends the process without the goodbye that the other hosts may no longer answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _die_with(parent: int) -> None:
    """Has Linux kill this process when its parent dies, so that none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

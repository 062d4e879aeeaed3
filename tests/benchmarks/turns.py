"""Sides of a comparison, each in a process of its own, that take turns.

In one process their thread pools would fight; and as they take turns, a busy machine is busy for
all of them.
"""

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable

_REST = 0.05  # seconds in which the threads of the last one cease to spin


def sides(**kinds: tuple) -> dict[str, Callable]:
    """Starts the sides.

    Args:
        kinds: name → (class, *arguments of its constructor).

    Returns:
        name → a function that calls a method of that side, `(method, *arguments) → (seconds,
        result)`.
    """
    context = multiprocessing.get_context("spawn")
    return {name: _start(context, *kind) for name, kind in kinds.items()}


def _start(context, kind, *arguments) -> Callable:
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(theirs, kind, *arguments), daemon=True).start()
    theirs.close()

    def ask(*message):
        ours.send(message)
        return ours.recv()

    return ask


def _serve(connection, kind, *arguments) -> None:
    """A side's process: does what it is told, and answers with the seconds and the result."""
    side = kind(*arguments)
    with contextlib.suppress(EOFError):  # the main process has gone
        while message := connection.recv():
            start = time.perf_counter()
            result = getattr(side, message[0])(*message[1:])
            connection.send((time.perf_counter() - start, result))


def median_seconds(tell: dict[str, Callable], messages: dict[str, tuple], repeats: int) -> dict:
    """Name → median seconds of the sides' messages, turn by turn, after two to warm up."""
    times = {side: [] for side in messages}
    for repeat in range(-2, repeats):
        for side, message in messages.items():
            time.sleep(_REST)
            seconds, _ = tell[side](*message)
            if repeat >= 0:
                times[side].append(seconds)
    return {side: statistics.median(values) for side, values in times.items()}

"""The bar that the command line shows while a file is edited."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def frames_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, and what moves it: frames done, frames in all."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} frames/s"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("", total=None, rate=0.0)

    def move(done: int, total: int) -> None:
        bar.start()  # with the first frames: a mistake found before them is one line alone
        rate = done / max(bar.tasks[0].elapsed or 0, 1e-6)
        bar.update(task, completed=done, total=total, rate=rate)

    try:
        yield move
    finally:
        if bar.live.is_started:  # else it would end a line that was never begun
            bar.stop()

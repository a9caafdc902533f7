"""The progress bar of an indexing run, on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from siftline import indexing


@contextmanager
def bar(title: str, total: int, *, hidden: bool = False) -> Iterator[Callable[[indexing.Progress], None]]:
    """Gives the function that moves the bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[rate]}"), console=Console(stderr=True), disable=hidden) as shown:
        task = shown.add_task(f"indexing {title}", total=total, rate="")

        def report(progress: indexing.Progress) -> None:
            elapsed = shown.tasks[task].elapsed or 0.0
            rate = f"{progress.written / elapsed:.0f}/s" if elapsed else ""
            shown.update(task, completed=progress.seen, rate=rate)

        yield report

"""Map a function over units of work, in the order given, on this machine's processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers(asked: int) -> int:
    """Number of processes: as asked, or one per usable core for 0."""
    return asked or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    label: str,
    threads: bool = False,
) -> Iterator[Result]:
    """Results in the order of `items`, as they become ready; a bar counts them.

    `threads` where the work leaves the interpreter's lock and its arrays should not be copied to other processes.
    """
    processes = min(workers(processes), len(items))
    if processes <= 1:
        yield from track((function(item) for item in items), len(items), label)
        return
    jobs: Any = Parallel(n_jobs=processes, return_as="generator", prefer="threads" if threads else "processes")
    yield from track(jobs(delayed(function)(item) for item in items), len(items), label)


def track(results: Iterator[Result], total: int, label: str) -> Iterator[Result]:
    """Pass `results` on under a progress bar on stderr; silent where stderr is no terminal."""
    with progress() as bar:
        task = bar.add_task(label, total=total)
        for result in results:
            yield result
            bar.advance(task)


def progress() -> Progress:
    """A bar with count, elapsed and remaining time on stderr; silent where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return _WithNote(*columns, console=console, disable=not console.is_terminal)


class _WithNote(Progress):
    """Progress whose tasks carry a note, empty unless given."""

    def add_task(self, description: str, **fields):
        fields.setdefault("note", "")
        return super().add_task(description, **fields)

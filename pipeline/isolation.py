"""Call a function in a process of its own, so that a call that crashes or hangs costs one item and nothing else.

Decoders are C code that reads damaged files. A segmentation fault can't be caught, a loop without end can't be
interrupted from Python, and what the system kills for its memory is gone: only another process stands outside of that.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE = 5.0  # seconds that a child has to end, or to be ended by its own timer, before it is killed from here
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_STARTS_AND_ENDS = threading.Lock()  # multiprocessing reads the exit codes of all children whenever one starts


@dataclass(frozen=True)
class Died:
    """The process ended during the item; `how` is the name of a signal, such as SIGSEGV, or `exit code 3`."""

    how: str


@dataclass(frozen=True)
class TimedOut:
    """The item took longer than so many seconds."""

    seconds: float


class Isolated(Generic[Item, Result]):
    """A function that runs in child processes, which are ended on leaving the context.

    Each thread inside `map` has a child to itself, which the next `map` takes over. Pickled, it arrives without
    children, so that a unit of work can travel to another process or machine.

    Args:
        function: picklable, as are its items and results. What it prints is lost, an exception is raised from `map`.
        timeout: seconds that one item may take. The imports of a new child do not count.
        memory: bytes that a child may allocate, where the system can limit that; beyond, it gets a MemoryError.
        warm: module that is imported once, before any child starts, besides that of the function.
    """

    def __init__(self, function: Callable[[Item], Result], timeout: float, memory: int, warm: str = "") -> None:
        self.function, self.timeout, self.memory, self.warm = function, timeout, memory, warm
        self._all: list[_Child] = []
        self._idle: list[_Child] = []
        self._closed = False

    def __enter__(self) -> "Isolated[Item, Result]":
        """Children start when they are needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Children end, also those that are at work."""
        self._closed = True
        while self._all:
            self._all.pop().stop()

    def __reduce__(self) -> tuple[Any, ...]:
        """What travels."""
        return type(self), (self.function, self.timeout, self.memory, self.warm)

    def map(self, items: Sequence[Item]) -> Iterator[Result | Died | TimedOut]:
        """Results in the order of `items`, as they become ready; the outcome where an item has no result.

        The items travel in one message and the results come back one by one, so that neither side waits for the other.
        """
        done = 0
        while done < len(items):
            (child, fresh), whole = self._borrow(), False
            try:
                child.send(items[done:])
                while done < len(items) and not child.ended:
                    result = child.receive(self.timeout)
                    if self._closed:
                        raise RuntimeError("the children were ended meanwhile")
                    if isinstance(result, Died) and not fresh:
                        break  # it may have ended before it saw the item, which a fresh child is given
                    fresh = True
                    done += 1
                    whole = done == len(items) and not child.ended
                    yield result
            finally:
                self._give_back(child, whole)

    def _borrow(self) -> tuple["_Child", bool]:
        """A child, and whether it is one that was not idle before."""
        if self._closed:
            raise RuntimeError("the children were ended already")
        with contextlib.suppress(IndexError):
            child = self._idle.pop()
            if child.is_alive():
                return child, False
        child = _Child(self.function, self.timeout, self.memory, self.warm)
        self._all.append(child)
        return child, True

    def _give_back(self, child: "_Child", whole: bool) -> None:
        if whole:
            self._idle.append(child)
            return
        child.stop()
        with contextlib.suppress(ValueError):
            self._all.remove(child)


class _Child:
    """A process, the pipe to it and the pipe from it."""

    def __init__(self, function: Callable[[Any], Any], timeout: float, memory: int, warm: str) -> None:
        self.ended = False
        context = _context(function, warm)
        items, self.items = context.Pipe(duplex=False)
        self.results, results = context.Pipe(duplex=False)
        _widen(results)
        self.process = context.Process(target=_serve, args=(items, results, function, timeout, memory), daemon=True)
        with _STARTS_AND_ENDS:
            self.process.start()
        items.close()
        results.close()  # else the pipe would not end with the child
        try:
            self.results.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"a child process could not start: {self.stop()}") from None

    def is_alive(self) -> bool:
        """Whether it still runs."""
        with _STARTS_AND_ENDS:
            return self.process.is_alive()

    def send(self, items: Sequence[Any]) -> None:
        """Give it work; if it is gone, `receive` will tell."""
        with contextlib.suppress(OSError):
            self.items.send(items)

    def receive(self, timeout: float) -> Any:
        """The next result, or how the child ended."""
        try:
            # The child's own timer comes first, but not every system has one.
            if not self.results.poll(timeout + GRACE):
                self.stop()
                return TimedOut(timeout)
            result = self.results.recv()
        except (EOFError, OSError):
            how = self.stop()
            return TimedOut(timeout) if how == "SIGALRM" else Died(how)
        if isinstance(result, Exception):
            raise result
        return result

    def stop(self) -> str:
        """End the child if it still runs, and say how it ended."""
        self.ended = True
        with _STARTS_AND_ENDS:
            if self.process.is_alive():
                self.process.kill()
            self.process.join(GRACE)
            code = self.process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _context(function: Callable[..., Any], warm: str) -> Any:
    """How children start.

    Not by a plain fork: a thread of this process may hold a lock that the child would wait for. The fork server has one
    thread and has done the imports, so that the next child costs milliseconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([getattr(function, "func", function).__module__, *([warm] if warm else [])])
    return context


def _widen(pipe: Any) -> None:
    """Room for a whole picture where the system allows it: a result of 0.5 MB then takes 0.2 ms in place of 1."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 2**20)


def _serve(items: Any, results: Any, function: Callable[[Any], Any], timeout: float, memory: int) -> None:
    """Life of a child: lists of items come in, one result for each goes out, until the other end is gone."""
    _settle(memory)
    # The signal ends the process, whatever it is doing, and with it an endless loop whose parent was killed.
    timer = partial(signal.setitimer, signal.ITIMER_REAL) if os.name == "posix" else lambda _: None
    with contextlib.suppress(EOFError, OSError):
        results.send(None)
        while True:
            for item in items.recv():
                timer(timeout)
                try:
                    result = function(item)
                except Exception as error:
                    result = error
                timer(0)
                results.send(result)


def _settle(memory: int) -> None:
    """No chatter, no signals from the terminal, no core files, and a limit on memory."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        import resource

        os.setsid()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def share_of_memory(children: int) -> int:
    """Bytes for each of so many children: three quarters of the memory divided among them, but 1 GiB at least.

    The memory is that of the machine, or of the container where that has less.
    """
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if hasattr(os, "sysconf") else []
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # `max`: no limit
            found.append(int(Path(path).read_text()))
    return max(2**30, 3 * min(found, default=2**32) // (4 * children))

"""What stands in the quarantine table. A reason is `kind` or `kind: detail`."""

import errno
from collections import Counter
from collections.abc import Iterable, Mapping

from pipeline.isolation import Died, TimedOut

AGAIN = "export the file again, or drop its row from the labels"
NO_MEMORY = "not enough memory"
CUT_OFF = "cannot be read: its end was gone when it was decoded"


def count_reasons(quarantine: Iterable[Mapping[str, str]]) -> str:
    """Counts by kind of reason, the most frequent first, as `3 no label, 1 empty file`."""
    counts = Counter(row["reason"].partition(":")[0] for row in quarantine)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common()) or "none"


def of_error(error: BaseException) -> tuple[str, str]:
    """Reason and remedy for what a decoder raised, whose text is not told: it may hold values of the header."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return no_memory()
        cause = cause.__cause__ or cause.__context__
    return f"cannot be decoded: damaged or truncated ({type(error).__name__})", f"copy or {AGAIN}"


def of_end(how: Died | TimedOut) -> tuple[str, str]:
    """Reason and remedy for a process that did not live to decode a file."""
    if isinstance(how, TimedOut):
        return f"took longer than {how.seconds:g} s", f"raise pixels.timeout, {AGAIN}"
    if how.how == "SIGKILL":  # by the system, for its memory
        return no_memory()
    if how.how == "SIGBUS":
        return CUT_OFF, "leave the image folder as it is meanwhile"
    remedy = "export the file again as Explicit VR Little Endian, or drop its row from the labels"
    return f"its decoder crashed ({how.how})", remedy


def to_read(error: OSError) -> str:
    """The remedy for a file that can't be opened."""
    if error.errno == errno.ENOENT:
        return "put it back or mend the link, or drop its row from the labels"
    return "give yourself permission to read it"


def no_memory() -> tuple[str, str]:
    """Reason and remedy for a file that needs more memory than there is."""
    return NO_MEMORY, "lower engine.workers and run `dvc repro -f -s pixels`, or drop its row from the labels"

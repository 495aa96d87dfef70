"""How much memory can be had, asked before a fit and not after it was killed."""

from collections.abc import Iterator
from pathlib import Path

MEMINFO, OWN_GROUP, GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available() -> float:
    """Bytes that can be had without swapping: of the machine, or of a container or batch job where that has less.

    Infinite where the system does not tell.
    """
    return min([_of_machine(), *_of_groups()])


def _of_machine() -> float:
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return float("inf")
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return float(found[0]) if found else float("inf")


def _of_groups() -> Iterator[float]:
    """What the limits of this process's control groups (version 2) leave, its own and those around it.

    What only caches files can be taken back and counts as free.
    """
    try:
        own = next(line for line in OWN_GROUP.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    within = Path(own.removeprefix("0::").strip("/"))
    for group in [within, *within.parents]:
        try:
            limit = float((GROUPS / group / "memory.max").read_text())
            used = float((GROUPS / group / "memory.current").read_text())
            counts = dict(line.split() for line in (GROUPS / group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such file where nothing limits, and "max" is no number
            continue
        yield max(0.0, limit - used + float(counts.get("inactive_file", 0)))

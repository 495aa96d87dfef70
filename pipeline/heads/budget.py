"""What fits will take, said before they start."""

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads import memory
from pipeline.heads.cases import Cases
from pipeline.heads.entries import Entry
from pipeline.heads.estimators import limits
from pipeline.heads.named import Arm, Pair, Stack
from pipeline.heads.protocol import Protocol
from pipeline.heads.resampling import costs
from pipeline.heads.resampling.rows import Strategy


def seconds(cases: Cases, train: np.ndarray, asked: int, arm: Arm, protocol: Protocol) -> float:
    """Roughly what resampling and the slow heads of an arm take on one core, heads on the training rows as they are.

    Args:
        cases: rows of the fold.
        train: positions to learn from.
        asked: rows to predict.
        arm: with all fits that its lists and its stacks ask for.
        protocol: how many those are.

    Raises:
        PipelineError: a strategy names no class.
    """
    if isinstance(arm, Pair):
        counts, dims = cases.counts(train[cases.y[train] >= 0]), cases.X.shape[1]
        ways, heads = (prod(map(len, entry.lists.values())) for entry in (arm.resampler, arm.head))
        rounds = (protocol.folds - 1) * (ways * heads > 1)  # inner folds have that many times the training rows
        head = _cost(arm.head, counts, dims, asked)
        resampling = max(
            costs.cost(one.name, counts.tolist(), dims, _strategy(one, cases.classes)).seconds
            for one in arm.resampler.each()
        )
        return (1 + rounds * ways) * resampling + (1 + rounds * ways * heads) * (head.seconds if head else 0.0)
    each = sum(seconds(cases, train, asked, member, protocol) for member in arm.members.values())
    return each * (protocol.folds if isinstance(arm, Stack) else 1)


def refuse_too_many(entry: Entry, classes: Sequence[str], counts: np.ndarray, dims: int) -> None:
    """Raise a PipelineError for a resampler whose rows would not fit into memory."""
    costs.foretell(entry.name, counts.tolist(), dims, _strategy(entry, classes))


def refuse_too_large(entry: Entry, counts: np.ndarray, dims: int) -> None:
    """Raise a PipelineError for a head that would not fit into memory, fitted on so many rows of each class."""
    found, free = _cost(entry, counts, dims, 0), memory.available()
    if found and found.bytes > free:
        what = f"{entry.name} would take {found} on {counts.sum()} rows, and {free / 1e9:.1f} GB of memory are free"
        raise PipelineError("fit", what, "take fewer or smaller trees, or a head that grows no faster than its rows")


def _strategy(entry: Entry, classes: Sequence[str]) -> Strategy:
    """What a resampler, of which no value is a list, is asked for."""
    return entry.bound(classes).keywords.get("strategy", entry.value("strategy")) or "full"


def _cost(entry: Entry, counts: Iterable[int], dims: int, asked: int) -> limits.Cost | None:
    """With the largest of the numbers to choose from; nothing can be learned of one class, and it costs nothing."""
    most = {key: max(values) for key, values in entry.lists.items() if all(isinstance(one, int) for one in values)}
    single = {key: value for key, value in entry.values.items() if key not in entry.lists}
    present = [int(count) for count in counts if count]
    return limits.cost(entry.name, single | most, present, dims, asked) if len(present) > 1 else None

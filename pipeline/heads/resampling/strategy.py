"""How many rows each class is to gain or to keep."""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads.resampling.rows import Strategy

Counts = dict[int, int]
Notes = dict[int, str]


def lacking(y: np.ndarray, strategy: Strategy) -> tuple[Counts, Notes]:
    """Rows to add to each class, in the order of the classes, and notes where that is not what was asked for.

    Raises:
        PipelineError: the strategy is none.
    """
    counts = _counts(y)
    wanted = _wanted(strategy, counts, lambda ratio: int(ratio * max(counts.values())))
    notes = _absent(strategy, counts)
    if isinstance(strategy, Mapping):
        notes |= {
            label: f"has {counts[label]} rows, {size} were asked for: none added"
            for label, size in wanted.items()
            if size < counts[label]
        }
    return {label: size - counts[label] for label, size in wanted.items() if size > counts[label]}, notes


def remaining(y: np.ndarray, strategy: Strategy) -> tuple[Counts, Notes]:
    """Rows that each class which loses some keeps, and notes where that is not what was asked for.

    Raises:
        PipelineError: the strategy is none, or would empty a class.
    """
    counts = _counts(y)
    wanted = _wanted(strategy, counts, lambda ratio: int(min(counts.values()) / ratio))
    notes = _absent(strategy, counts)
    if isinstance(strategy, Mapping):
        notes |= {
            label: f"has {counts[label]} rows, {size} were asked for: none removed"
            for label, size in wanted.items()
            if size > counts[label]
        }
    return {label: size for label, size in wanted.items() if size < counts[label]}, notes


def _counts(y: np.ndarray) -> Counts:
    labels, counts = np.unique(y, return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def _wanted(strategy: Strategy, counts: Counts, of_ratio: Callable[[float], int]) -> Counts:
    if isinstance(strategy, Mapping):
        if faults := {label: size for label, size in strategy.items() if size < 1}:
            raise _refusal(f"asks for {', '.join(f'{size} rows of class {label}' for label, size in faults.items())}")
        return {label: size for label, size in sorted(strategy.items()) if label in counts}
    ratio = 1.0 if strategy == "full" else strategy
    if isinstance(ratio, str | bool) or not 0 < ratio <= 1:
        raise _refusal(f"is {strategy!r}")
    size = of_ratio(float(ratio))
    return dict.fromkeys(counts, size)


def _absent(strategy: Strategy, counts: Counts) -> Notes:
    """Of one class alone there is nothing to balance; a class that a fold lacks can't be made."""
    if isinstance(strategy, Mapping):
        return {label: "no row to make others from" for label in strategy if label not in counts}
    return {label: "the only class, nothing to balance" for label in counts if len(counts) == 1}


def _refusal(what: str) -> PipelineError:
    return PipelineError("params.yaml, resamplers, strategy", what, "write full, a ratio in (0, 1], or {class: rows}")

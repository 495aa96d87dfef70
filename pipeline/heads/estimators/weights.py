"""What a mistake costs, as weights of classes and rows."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from pipeline.errors import PipelineError

ClassWeight = Literal["balanced"] | dict[int, float] | None
CostMatrix = list[list[float]] | None


def class_weights(class_weight: ClassWeight, cost: CostMatrix, classes: Sequence[str] = ()) -> ClassWeight:
    """Weights of classes from those that are given or from a cost matrix.

    A class weighs what its mistakes cost in sum, as in Ting 2002, doi:10.1109/TKDE.2002.1000348.

    Args:
        class_weight: `balanced` (n / (K × rows of the class)), or a weight by class number.
        cost: cost[true][predicted], K rows of K numbers.
        classes: names; where they are given, classes without a weight get 1.

    Raises:
        PipelineError: both are given, or one of them makes no sense.
    """
    if class_weight is not None and cost is not None:
        raise PipelineError(
            "class_weight, cost", "both say what a mistake in each class costs", "leave one of them out"
        )
    if cost is not None:
        return _from_costs(cost, classes)
    if not isinstance(class_weight, Mapping):
        return class_weight
    light = [_name(number, classes) for number, weight in class_weight.items() if not 0 < weight < np.inf]
    if light:
        raise PipelineError(
            "class_weight", f"the weight of class {', '.join(light)} is no number above 0", "give one above 0"
        )
    return {**dict.fromkeys(range(len(classes)), 1.0), **class_weight}


def row_weights(class_weight: ClassWeight, classes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Weight of each row, (n,) float64 with mean 1, so that penalties keep their meaning.

    Args:
        class_weight: as of `class_weights`; by label.
        classes: labels (K,).
        numbers: positions in `classes`, (n,) int.
    """
    counts = np.bincount(numbers, minlength=len(classes))
    if class_weight is None:
        return np.ones(len(numbers))
    if class_weight == "balanced":
        by_class = 1 / np.maximum(counts, 1)
    else:
        by_class = np.array([class_weight.get(label, 1.0) for label in classes.tolist()])
    return by_class[numbers] * (len(numbers) / (by_class @ counts))


def refuse_one_class(classes: np.ndarray) -> None:
    """Raise a ValueError where there is one class."""
    if len(classes) < 2:
        raise ValueError(f"1 class, {classes[0]}, in all rows: nothing can be told apart")


def _from_costs(cost: list[list[float]], classes: Sequence[str]) -> dict[int, float]:
    widths = {len(row) for row in cost}
    size = f"has {len(cost)} rows of {' and '.join(map(str, sorted(widths)))} numbers"
    if widths != {len(cost)} or len(cost) < 2:
        raise PipelineError("cost", size, "give a row for each true class and a column for each predicted one")
    if classes and len(cost) != len(classes):
        raise PipelineError(
            "cost",
            f"{size}, but there are {len(classes)} classes",
            f"give a row, then a column, for each of {', '.join(classes)}",
        )
    matrix = np.array(cost, dtype=np.float64)
    places = [
        f"{_name(true, classes)} taken for {_name(taken, classes)} ({matrix[true, taken]:g})"
        for true, taken in np.argwhere(~((matrix >= 0) & (matrix < np.inf))).tolist()
    ]
    if places:
        raise PipelineError("cost", f"is no number from 0 on: {'; '.join(places)}", "give what each mistake costs")
    right = [_name(number, classes) for number in np.flatnonzero(np.diag(matrix)).tolist()]
    if right:
        raise PipelineError("cost", f"a right answer costs something: class {', '.join(right)}", "write 0 there")
    free = [_name(number, classes) for number in np.flatnonzero(matrix.sum(axis=1) == 0).tolist()]
    if free:
        raise PipelineError(
            "cost",
            f"no mistake in class {', '.join(free)} costs anything: its rows would teach nothing",
            "give its row numbers above 0, or take the class out of data.classes",
        )
    return dict(enumerate(matrix.sum(axis=1).tolist()))


def _name(number: int, classes: Sequence[str]) -> str:
    return classes[number] if number < len(classes) else str(number)

"""What is asked of each class or label: whether a row has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.judge.arms import Rows
from pipeline.judge.tally import Multilabel


@dataclass(frozen=True, eq=False)
class Question:
    """One class against the rest, or one label on the rows where it is known."""

    name: str
    probability: np.ndarray  # (m,) float64
    own: np.ndarray  # (m,) bool, whether the row has it
    patients: np.ndarray  # (m,) int


def each(rows: Rows, names: Sequence[str]) -> list[Question]:
    """Of every class that is told from the rest (of two the second) or label that some rows have and others don't."""
    of = rows.predictions
    if isinstance(of, Multilabel):
        pairs = [(number, 1, part, two) for number, (part, two) in enumerate(of.each)]
    else:
        pairs = [(number, number, slice(None), of) for number in of.against_rest]
    found = [
        Question(names[number], two.probabilities[:, column], two.labels == column, rows.patients[part])
        for number, column, part, two in pairs
    ]
    return [one for one in found if one.own.any() and not one.own.all()]

"""How arms ask their training rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Protocol:
    """How values are chosen, and how the arms of a stack are told from each other.

    Attributes:
        folds: of the training patients.
        most: combinations that every fold tries.
        metric: name of the figure, of which more is better.
        score: (labels (n,) int, probabilities (n, K) float64) → figure.
    """

    folds: int
    most: int
    metric: str
    score: Callable[[np.ndarray, np.ndarray], float]

"""What heads that grow faster than their rows, or are slow at any size, will take: to be said before, not after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2, sqrt
from typing import Any

SPLIT = 1e-7  # seconds per row, feature and level of a tree, sorting included; measured within a factor of 4
DISTANCE = 1e-10  # seconds per pair of rows and feature
NODE = 64  # bytes, without the 8 of each class


@dataclass(frozen=True)
class Cost:
    """A rough estimate for one core.

    Attributes:
        seconds: of fit and prediction.
        bytes: that stay in memory and go into the file of the fitted head.
    """

    seconds: float
    bytes: float

    def __str__(self) -> str:
        """`about 3 h and 12 GB`."""
        minutes = self.seconds / 60
        time = (
            f"{self.seconds:.0f} s"
            if minutes < 2
            else f"{minutes:.0f} min"
            if minutes < 120
            else f"{minutes / 60:.0f} h"
        )
        return f"about {time} and {self.bytes / 1e9:.1f} GB"


def cost(name: str, values: Mapping[str, Any], counts: Sequence[int], dims: int, asked: int) -> Cost | None:
    """What a head takes; None where time and memory grow with the rows and no faster.

    Args:
        name: in HEADS.
        values: of its factory, each one that has no default and no list.
        counts: rows of each class to learn from, those without rows left out.
        dims: features.
        asked: rows to predict.
    """
    rows, classes = sum(counts), len(counts)
    balanced = classes * min(counts)
    trees = values.get("n_estimators", {"balanced_bagging": 10, "easy_ensemble": 10, "rus_boost": 50}.get(name, 100))
    leaf = values.get("min_samples_leaf", 1)
    match name:
        case "knn":
            return Cost(rows * asked * dims * DISTANCE, 4 * rows * dims)
        case "random_forest":
            return _grown(trees, rows, sqrt(dims), log2(rows), leaf, classes)
        case "balanced_random_forest":
            return _grown(trees, balanced, sqrt(dims), log2(balanced), leaf, classes)
        case "balanced_bagging":
            return _grown(trees, balanced, dims, log2(balanced), 1, classes)
        case "easy_ensemble":
            return _grown(50 * trees, balanced, dims, 1, balanced, classes)
        case "rus_boost":
            return _grown(trees, balanced, dims, values.get("max_depth", 1), balanced, classes)
    return None


def _grown(trees: int, rows: int, features: float, levels: float, leaf: int, classes: int) -> Cost:
    return Cost(SPLIT * trees * rows * features * levels, trees * 2 * rows / leaf * (NODE + 8 * classes))

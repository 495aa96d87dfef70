"""Training rows before and after resampling."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import PipelineError

PART = 4096  # rows that are looked at or written at once, so that what is held besides them stays small
Strategy = str | float | Mapping[int, int]
"""How far a resampler goes.

`full`: every class as large as the largest (or as small as the smallest). A ratio r in (0, 1]: smaller classes grow to
r times the largest (larger ones shrink to the smallest over r). A mapping: the rows that each class is to have.
"""


@dataclass(frozen=True)
class Rows:
    """The training rows of one fold, or of one label of it.

    Attributes:
        X: features, scaled on these rows, (n, D) float32, finite.
        y: class numbers, (n,) int.
        patients: patient numbers, (n,) int.

    Raises:
        PipelineError: a row holds NaN or an infinite value.
    """

    X: np.ndarray
    y: np.ndarray
    patients: np.ndarray

    def __post_init__(self) -> None:
        """Refuse what no neighbour search and no head could use."""
        parts = range(0, len(self.X), PART)
        broken = sum(int((~np.isfinite(self.X[start : start + PART]).all(axis=1)).sum()) for start in parts)
        if broken:
            raise PipelineError(
                "features of the training rows",
                f"{broken} of {len(self.X)} rows hold NaN or infinite values",
                "run `dvc repro audit` to see which, then mend or drop these images",
            )


@dataclass(frozen=True)
class Resampled:
    """Rows to fit a head on: real ones first and unchanged, then synthetic ones.

    A synthetic row lies at X[a] + share * (X[b] - X[a]) of its parents a, b in the rows that were resampled, unless
    the docstring of the resampler says otherwise; a repeated row is its own two parents.

    Attributes:
        X: (m, D) float32.
        y: class numbers, (m,) int.
        kept: positions of the real rows, ascending, (r,) int.
        parents: positions of each synthetic row's parents, (m - r, 2) int.
        shares: (m - r,) float32.
        notes: by class number, where what was done is not what was asked for.
    """

    X: np.ndarray
    y: np.ndarray
    kept: np.ndarray
    parents: np.ndarray
    shares: np.ndarray
    notes: dict[int, str] = field(default_factory=dict)


def of_real(rows: Rows, kept: np.ndarray, notes: Mapping[int, str] | None = None) -> Resampled:
    """Some of the rows, in their order, and none besides; all of them are not copied."""
    nobody, nothing = np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    every = len(kept) == len(rows.y)
    X, y = (rows.X, rows.y) if every else (rows.X[kept], rows.y[kept])
    return Resampled(X, y, kept, nobody, nothing, dict(notes or {}))

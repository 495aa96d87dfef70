"""Training rows before and after resampling."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Strategy = str | float | Mapping[int, int]
"""How far a resampler goes.

`full`: every class as large as the largest (or as small as the smallest). A ratio r in (0, 1]: smaller classes grow to
r times the largest (larger ones shrink to the smallest over r). A mapping: the rows that each class is to have.
"""


@dataclass(frozen=True)
class Rows:
    """The training rows of one fold, or of one label of it.

    Attributes:
        X: features, scaled on these rows, (n, D) float32.
        y: class numbers, (n,) int.
        patients: patient numbers, (n,) int.
    """

    X: np.ndarray
    y: np.ndarray
    patients: np.ndarray


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

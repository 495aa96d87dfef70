"""Resamplers in feature space, on training rows only.

One signature: (rows: Rows, random_state, **values) → Resampled. Real rows come first and unchanged;
a RandomState, not an integer, is passed on: with an integer, imbalanced-learn restarts the stream for each class.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.heads.rows import Resampled, Rows


def none(rows: Rows, random_state: np.random.RandomState) -> Resampled:
    """The rows as they are."""
    return _with(rows, rows.X[:0], rows.y[:0])


def random_over(rows: Rows, random_state: np.random.RandomState) -> Resampled:
    """Rows of the smaller classes repeated at random up to the size of the largest."""
    X, y = rows.X, rows.y
    added = [random_state.choice(np.flatnonzero(y == label), size) for label, size in _lacking(y).items()]
    again = np.concatenate([np.arange(0), *added])
    return _with(rows, X[again], y[again])


def smote(rows: Rows, random_state: np.random.RandomState, k_neighbors: int) -> Resampled:
    """Synthetic rows between neighbours of a class (Chawla et al. 2002, doi:10.1613/jair.953).

    A class with fewer than k + 1 rows uses the neighbours it has; a class with one row is repeated.
    """
    X, y = rows.X, rows.y
    return _by_class(rows, lambda label, size: _smote_class(X, y, label, size, random_state, k_neighbors))


def borderline_smote(rows: Rows, random_state: np.random.RandomState, k_neighbors: int, m_neighbors: int) -> Resampled:
    """SMOTE from rows in danger: half or more, not all, of the m nearest rows are of other classes.

    Borderline-SMOTE1 of Han et al. 2005, doi:10.1007/11538059_91. A class with no row in danger takes plain SMOTE.
    """
    from imblearn.over_sampling import BorderlineSMOTE

    X, y = rows.X, rows.y

    def added(label: int, size: int) -> tuple[np.ndarray, str]:
        k = min(k_neighbors, int((y == label).sum()) - 1)
        if k >= 1:
            sampler: Any = BorderlineSMOTE(
                sampling_strategy=_to(label, y, size),
                k_neighbors=k,
                m_neighbors=min(m_neighbors, len(y) - 1),
                random_state=random_state,
            )
            made = sampler.fit_resample(X, y)[0][len(X) :]
            if len(made):
                return made, _shrunk(k, k_neighbors)
        made, said = _smote_class(X, y, label, size, random_state, k_neighbors)
        return made, "; ".join(filter(None, ["no row in danger, smote instead of borderline_smote", said]))

    return _by_class(rows, added)


def _by_class(rows: Rows, added: Callable[[int, int], tuple[np.ndarray, str]]) -> Resampled:
    """Each smaller class on its own, since each may need another number of neighbours or another method."""
    parts, labels, notes = [rows.X[:0]], [rows.y[:0]], {}
    for label, size in _lacking(rows.y).items():
        made, said = added(label, size)
        parts.append(made.astype(rows.X.dtype, copy=False))
        labels.append(np.full(len(made), label, rows.y.dtype))
        if said:
            notes[label] = said
    return _with(rows, np.concatenate(parts), np.concatenate(labels), notes)


def _with(rows: Rows, X: np.ndarray, y: np.ndarray, notes: dict[int, str] | None = None) -> Resampled:
    parents, shares = np.full((len(y), 2), -1), np.zeros(len(y), np.float32)
    kept = np.arange(len(rows.y))
    return Resampled(np.concatenate([rows.X, X]), np.concatenate([rows.y, y]), kept, parents, shares, notes or {})


def _smote_class(
    X: np.ndarray, y: np.ndarray, label: int, size: int, random_state: np.random.RandomState, k_neighbors: int
) -> tuple[np.ndarray, str]:
    from imblearn.over_sampling import SMOTE

    own = np.flatnonzero(y == label)
    if len(own) == 1:
        return X[np.repeat(own, size)], "one row, random_over instead of smote"
    k = min(k_neighbors, len(own) - 1)
    sampler: Any = SMOTE(sampling_strategy=_to(label, y, size), k_neighbors=k, random_state=random_state)
    return sampler.fit_resample(X, y)[0][len(X) :], _shrunk(k, k_neighbors)


def _to(label: int, y: np.ndarray, size: int) -> Any:
    """Only this class grows; imbalanced-learn's type knows the strategies that are words."""
    return {label: int((y == label).sum()) + size}


def _lacking(y: np.ndarray) -> dict[int, int]:
    """Rows by which each class falls short of the largest."""
    labels, counts = np.unique(y, return_counts=True)
    return {int(label): int(counts.max() - n) for label, n in zip(labels, counts, strict=True) if n < counts.max()}


def _shrunk(k: int, asked: int) -> str:
    return f"{k} neighbour{'s' if k > 1 else ''} instead of {asked}, since it has {k + 1} rows" if k < asked else ""


RESAMPLERS: dict[str, Callable[..., Resampled]] = {
    "none": none,
    "random_over": random_over,
    "smote": smote,
    "borderline_smote": borderline_smote,
}
"""Random over-sampling and the SMOTE family; `none` is the baseline that every other arm must beat."""

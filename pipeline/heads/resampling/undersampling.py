"""Fewer rows of the larger classes: real rows only, and none of them empty."""

import warnings
from typing import Literal

import numpy as np

from pipeline.heads.resampling.rows import Resampled, Rows, Strategy, of_real
from pipeline.heads.resampling.smotes import Neighbours
from pipeline.heads.resampling.strategy import remaining


def random_under(rows: Rows, random_state: np.random.RandomState, strategy: Strategy = "full") -> Resampled:
    """Rows of the larger classes drawn at random, without replacement."""
    sizes, notes = remaining(rows.y, strategy)
    kept = [
        random_state.choice(own, sizes[label], replace=False) if label in sizes else own
        for label, own in _positions(rows.y).items()
    ]
    return of_real(rows, np.sort(np.concatenate(kept)), notes)


def near_miss(
    rows: Rows,
    random_state: np.random.RandomState,
    version: Literal[1, 2, 3] = 1,
    n_neighbors: Neighbours = 3,
    strategy: Strategy = "full",
) -> Resampled:
    """Rows of the larger classes that are near the smallest one (Zhang & Mani 2003, KNN approach to unbalanced data).

    Versions: nearest on average to their n nearest rows of the smallest class (1), to all of its rows (2), or, among
    the n nearest of each of its rows, farthest on average (3, which may keep fewer than asked for).
    """
    from imblearn.under_sampling import NearMiss

    sizes, notes = remaining(rows.y, strategy)
    if not sizes:
        return of_real(rows, np.arange(len(rows.y)), notes)
    k = min(n_neighbors, *np.unique(rows.y, return_counts=True)[1])
    sampler = NearMiss(sampling_strategy=sizes, version=version, n_neighbors=k, n_neighbors_ver3=k)  # pyright: ignore
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of the samples to be selected is larger")
        sampler.fit_resample(rows.X, rows.y)
    kept = np.sort(sampler.sample_indices_)
    if k < n_neighbors:
        notes |= dict.fromkeys(sizes, f"{k} neighbours instead of {n_neighbors}, since the smallest class has no more")
    return of_real(rows, kept, _with_fewer(rows.y[kept], sizes, notes, "its other rows are no neighbours"))


def cluster_centroids(rows: Rows, random_state: np.random.RandomState, strategy: Strategy = "full") -> Resampled:
    """Of a larger class as many clusters (k-means) as rows are to stay, and the row nearest to each centre.

    Hard voting of imbalanced-learn, so that only real rows stay; a row that is nearest to two centres counts once.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import pairwise_distances_argmin

    sizes, notes = remaining(rows.y, strategy)
    kept = []
    for label, own in _positions(rows.y).items():
        if label in sizes:
            X = rows.X[own]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
                centres = KMeans(sizes[label], random_state=random_state).fit(X).cluster_centers_
            own = own[np.unique(pairwise_distances_argmin(centres, X))]
        kept.append(own)
    kept = np.sort(np.concatenate(kept))
    return of_real(rows, kept, _with_fewer(rows.y[kept], sizes, notes, "centres share their nearest row"))


def _positions(y: np.ndarray) -> dict[int, np.ndarray]:
    return {int(label): np.flatnonzero(y == label) for label in np.unique(y)}


def _with_fewer(y: np.ndarray, sizes: dict[int, int], notes: dict[int, str], why: str) -> dict[int, str]:
    counts = {label: int((y == label).sum()) for label in sizes}
    fewer = {label: f"{counts[label]} rows instead of {size}, {why}" for label, size in sizes.items()}
    fewer = {label: note for label, note in fewer.items() if counts[label] < sizes[label]}
    return notes | {label: "; ".join(filter(None, [notes.get(label), note])) for label, note in fewer.items()}

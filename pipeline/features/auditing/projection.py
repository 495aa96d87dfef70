"""Two dimensions of the features, for a map that a person looks at."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

MOST = 10_000  # rows of the map: about 40 s on one core
MOST_SYNTHETIC = 2_000  # rows of each resampler
PERPLEXITY = 30.0
ITERATIONS = 500  # a thousand keep 1 % more of the neighbours of 6,571 rows, in twice the time
COMPONENTS = 50  # that neighbours are searched in


class Made(Protocol):
    """Rows of a resampler, as `evidence.Synthetic`."""

    @property
    def labels(self) -> np.ndarray:
        """Class numbers, (s,) int."""
        ...

    @property
    def parents(self) -> np.ndarray:
        """Feature rows, (s, 2) int."""
        ...

    @property
    def shares(self) -> np.ndarray:
        """How far it lies on the way from the first parent to the second, (s,) float32."""
        ...

    @property
    def written(self) -> np.ndarray | None:
        """(s, D) float32, of rows that do not lie between their parents."""
        ...


def plane(
    X: np.ndarray, targets: np.ndarray, named: np.ndarray, synthetic: Mapping[str, Made], seed: int = 0
) -> dict[str, np.ndarray]:
    """The arrays of map.npz.

    Args:
        X: features of the rows that may be shown and others, (N, D) float32, finite.
        targets: class numbers, (N,) int; of several labels 1, 0 or -1, (N, L).
        named: how much each row is wanted: 2 a check names it, 1 it may be shown, 0 it may not, (N,) int.
        synthetic: by resampler.
        seed: of the draws and of the embedding.

    Returns:
        `total` (): rows that might have been shown; `rows` (n,) int32: those that are; `pca`, `embedding` (n, 2)
        float32; and of each resampler, as `synthetic/RESAMPLER/…`, `total` (), `labels` (s,) int16, `parents` (s, 2)
        int32 positions in `rows`, `shares` (s,) float32, `pca` and `embedding` (s, 2) float32. A synthetic row is shown
        if both of its parents are. Its principal components are its own; in the embedding, which has no place for a new
        row, it lies between its parents as it does among the features.
    """
    rows = choose(targets, named, MOST, seed)
    mean, axes = principal(X[rows], COMPONENTS, seed)
    reduced = (X[rows] - mean) @ axes.T
    shown = {"pca": flat(reduced), "embedding": embed(reduced, seed)}
    arrays = {"total": np.array(np.count_nonzero(named)), "rows": rows.astype(np.int32), **shown}
    places = np.full(len(X), -1, np.int32)
    places[rows] = np.arange(len(rows))
    for name, made in synthetic.items():
        few, parents = _few(places[made.parents], MOST_SYNTHETIC, seed)
        shares = made.shares[few].astype(np.float32)
        between = {key: _between(xy, parents, shares) for key, xy in shown.items()}
        if made.written is not None:
            between["pca"] = flat((made.written[few] - mean) @ axes[:2].T)
        own = {"total": np.array(len(made.labels)), "labels": made.labels[few].astype(np.int16), "parents": parents}
        arrays |= {f"synthetic/{name}/{key}": values for key, values in {**own, "shares": shares, **between}.items()}
    return arrays


def coordinates(X: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components and the neighbour embedding of rows (n, D) float32, (n, 2) float32 each."""
    mean, axes = principal(X, COMPONENTS, seed)
    reduced = (X - mean) @ axes.T
    return flat(reduced), embed(reduced, seed)


def choose(targets: np.ndarray, named: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Up to `most` rows, ascending, (n,) int: named ones first, then half of the places by class, half by share.

    A class that is rare keeps all of its rows up to its part of the half that all classes share equally.

    Args:
        targets: as of `plane`; a row of several labels counts as one of its rarest.
        named: as of `plane`.
        most: places.
        seed: of the draw.
    """
    allowed = np.flatnonzero(named > 0)
    if len(allowed) <= most:
        return allowed
    order = np.random.default_rng(seed).permutation(allowed)
    strata = _strata(targets)[order]
    sizes = np.bincount(strata)
    rank = np.empty(len(order), int)  # of a row within its class
    for stratum in np.unique(strata):
        rank[strata == stratum] = np.arange(int(sizes[stratum]))
    turn = np.where(rank < most // (2 * len(np.unique(strata))), 0, (rank + 1) / sizes[strata])
    turn[named[order] > 1] = -1
    return np.sort(order[np.argsort(turn, kind="stable")[:most]])


def principal(X: np.ndarray, components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and principal axes (k, D) of rows (n, D), float32; k is `components` if there are as many."""
    from sklearn.decomposition import PCA

    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not (X[:1] != X).any():  # nothing varies: there is no axis
        return mean, np.zeros((1, X.shape[1]), np.float32)
    found = PCA(min(components, *X.shape), random_state=seed).fit(X - mean)
    return mean, np.asarray(found.components_, np.float32)


def embed(reduced: np.ndarray, seed: int) -> np.ndarray:
    """t-SNE of principal components (n, k) float32, (n, 2) float32: neighbours lie near each other.

    It begins at the first two components, so that the arrangement of groups means something (Kobak and Berens 2019,
    doi:10.1038/s41467-019-13056-x). Method: van der Maaten 2014, JMLR 15. One thread: the sums of several depend on
    which is done first.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = flat(reduced)
    spread = float(start[:, 0].std()) if len(start) else 0.0
    if len(reduced) < 5 or not spread > 0:
        return start
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    how: dict[str, Any] = {"init": start * np.float32(1e-4 / spread), "perplexity": perplexity}
    with threadpool_limits(1):
        found = TSNE(**how, max_iter=ITERATIONS, random_state=seed, n_jobs=1).fit_transform(reduced)
    return np.asarray(found, np.float32)


def flat(reduced: np.ndarray) -> np.ndarray:
    """The first two columns of (n, k), (n, 2) float32; 0 where there is no second."""
    out = np.zeros((len(reduced), 2), np.float32)
    out[:, : min(2, reduced.shape[1])] = reduced[:, :2]
    return out


def _strata(targets: np.ndarray) -> np.ndarray:
    """Number of the class of each row, or of its rarest label, from 0 on, (N,) int; those with none are one more."""
    if targets.ndim == 1:
        return np.where(targets < 0, targets.max(initial=-1) + 1, targets)
    present = targets == 1
    rarity = np.where(present, present.sum(axis=0), len(targets) + 1)
    return np.where(present.any(axis=1), rarity.argmin(axis=1), targets.shape[1])


def _few(parents: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic rows both of whose parents have a place, at most `most`, and those places, (s, 2) int32."""
    shown = np.flatnonzero((parents >= 0).all(axis=1))
    few = np.sort(np.random.default_rng(seed).permutation(shown)[:most])
    return few, parents[few]


def _between(xy: np.ndarray, parents: np.ndarray, shares: np.ndarray) -> np.ndarray:
    first, second = xy[parents[:, 0]], xy[parents[:, 1]]
    return first + shares[:, None] * (second - first)

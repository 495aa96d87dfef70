"""Pictures that stand twice: of the same bytes, or near each other in feature space and alike in detail."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, parts

SIDE = 32  # pixels of a thumbnail
SHIFT = 3  # of them, that one picture may be moved against the other
BLUR = 5  # of them: what is coarser than that is alike in any two chest X-rays
# Of 4,000 pairs of nearest pictures that are none, the likest have .85 (chest X-rays and phantom mammograms); of red
# blood cells, pairs above .9 show the same cell in two photographs.
ALIKE = 0.9
COARSE = 0.6  # correlation at half the size below which no pair is looked at more closely
NEAR = 3  # neighbours of each row that are looked at
CLOSE = 0.9  # quantile of the distances of nearest neighbours up to which they are
AT_ONCE = 2**25  # bytes of pictures
SOME = 2048  # pictures


@dataclass(frozen=True, eq=False)
class Twins:
    """Pairs of feature rows that are in another role in some fold, or have another label.

    Attributes:
        rows: (p, 2) int; identical ones first, then the likest.
        kind: `same bytes`, `alike` or `mirrored`; `same features` where there are no pictures, (p,) str.
        likeness: greatest correlation of their details under a shift, (p,) float32.
        distance: in `Evidence.space`, (p,) float32.
        difference: mean absolute difference of the pictures, share of the range of their type, (p,) float32; NaN
            without pictures.
    """

    rows: np.ndarray
    kind: np.ndarray
    likeness: np.ndarray
    distance: np.ndarray
    difference: np.ndarray


def twins(evidence: Evidence) -> Twins:
    """Every pair that matters; searched once."""
    return evidence.once("twins", lambda: _twins(evidence))


def roles(evidence: Evidence) -> dict[int, np.ndarray]:
    """Role of each feature row by fold, (N,) str."""
    folds = sorted({int(fold) for fold in evidence.roles["fold"]})
    return evidence.once("roles", lambda: {fold: evidence.role(fold) for fold in folds})


def crosses(evidence: Evidence, rows: np.ndarray, fold: int) -> np.ndarray:
    """Which pairs (p, 2) are in two roles of a fold, (p,) bool."""
    one, other = roles(evidence)[fold][rows].T
    return (one != other) & (one != "") & (other != "")


def contradict(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Which pairs (p, 2) have labels that can't both be true of one picture, (p,) bool."""
    one, other = evidence.targets[rows[:, 0]], evidence.targets[rows[:, 1]]
    differ = (one != other) & (one >= 0) & (other >= 0)
    return differ.any(axis=1) if differ.ndim == 2 else differ


def thumbnails(pictures: np.ndarray) -> np.ndarray:
    """Details of pictures (n, H, W[, 3]): small, grey, minus their blurred selves, in [-1, 1], (n, S, S) float32."""
    from scipy.ndimage import uniform_filter

    side = min(SIDE, *pictures.shape[1:3])
    edges = [np.linspace(0, size, side, endpoint=False).astype(int) for size in pictures.shape[1:3]]
    small = np.add.reduceat(pictures, edges[0], axis=1, dtype=np.float32)
    small = np.add.reduceat(small, edges[1], axis=2)
    rows, columns = (np.diff(edge, append=size) for edge, size in zip(edges, pictures.shape[1:3], strict=True))
    small = (small.mean(axis=3) if small.ndim == 4 else small) / (rows[:, None] * columns)
    small -= uniform_filter(small, BLUR, mode="nearest", axes=(1, 2))
    return small / np.maximum(np.abs(small).max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)


def _twins(evidence: Evidence) -> Twins:
    marks = _marks(evidence)
    same = _identical(evidence, marks)
    if evidence.take is None:
        kind = np.full(len(same), "same features")
        return Twins(same, kind, np.ones(len(same)), _apart(evidence, same), np.full(len(same), np.nan))
    near = _candidates(evidence, marks)
    likeness, mirrored = _likeness(evidence, near)
    alike = np.flatnonzero(np.maximum(likeness, mirrored) >= ALIKE)
    rows = np.concatenate([same, near[alike]])
    flipped = (mirrored > likeness)[alike]
    kind = np.concatenate([np.full(len(same), "same bytes"), np.where(flipped, "mirrored", "alike")])
    most = np.concatenate([np.ones(len(same), np.float32), np.maximum(likeness, mirrored)[alike]])
    found = Twins(rows, kind, most, _apart(evidence, rows), _difference(evidence, rows))
    order = np.lexsort((rows[:, 1], rows[:, 0], -most))
    return Twins(rows[order], kind[order], most[order], found.distance[order], found.difference[order])


def _marks(evidence: Evidence) -> np.ndarray:
    """Number of the content of each row, (N,) int; of an augmented view a number of its own."""
    shown = evidence.take is not None
    rows = np.flatnonzero(evidence.shown if shown else evidence.natural)
    content = _pictures(evidence, rows) if shown else parts(evidence.features[evidence.file][rows])
    digests = [blake2b(one.tobytes(), digest_size=16).digest() for part in content for one in part]
    marks = np.arange(len(evidence.rows)) + len(digests)
    marks[rows] = pd.factorize(pd.Series(digests, dtype=object))[0]
    return marks


def _pictures(evidence: Evidence, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Pictures of feature rows that have one, in their order, some at a time."""
    first = evidence.picture(rows[:1])
    size = max(1, AT_ONCE // first.nbytes) if first is not None and len(rows) else 1
    for start in range(0, len(rows), size):
        taken = evidence.picture(rows[start : start + size])
        assert taken is not None  # of rows that have one
        yield taken


def _standing(evidence: Evidence) -> np.ndarray:
    """Number of the roles and label of each row: pairs of the same number are no leak and no contradiction, (N,)."""
    columns = [pd.factorize(role)[0] for role in roles(evidence).values()]
    table = (
        np.column_stack([*columns, evidence.targets]) if columns else evidence.targets.reshape(len(evidence.rows), -1)
    )
    return np.unique(table, axis=0, return_inverse=True)[1].ravel()


def _matters(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Which pairs are in two roles of any fold, or contradict each other, (p,) bool."""
    crossing = [crosses(evidence, rows, fold) for fold in roles(evidence)]
    return np.any([contradict(evidence, rows), *crossing], axis=0)


def _identical(evidence: Evidence, marks: np.ndarray) -> np.ndarray:
    """Pairs of the same content, (p, 2): each row with one of every other standing, not all of a hundred with all."""
    standing = _standing(evidence)
    order = np.lexsort((standing, marks))
    order = order[np.bincount(marks)[marks[order]] > 1]
    pairs = set()
    for group in np.split(order, np.flatnonzero(np.diff(marks[order])) + 1) if len(order) else []:
        heads = group[np.unique(standing[group], return_index=True)[1]].tolist()
        pairs |= {
            (min(one, head), max(one, head))
            for one in group.tolist()
            for head in heads
            if standing[one] != standing[head]
        }
    rows = np.array(sorted(pairs), int).reshape(-1, 2)
    return rows[_matters(evidence, rows)]


def _candidates(evidence: Evidence, marks: np.ndarray) -> np.ndarray:
    """Pairs near each other in feature space and of other content, (p, 2), of which pictures have to tell."""
    table, distances = evidence.neighbours(evidence.file)
    table, distances = table[:, :NEAR], distances[:, :NEAR]
    first, place = np.nonzero((table >= 0) & (marks[table] != marks[:, None]))
    second, distance = table[first, place], distances[first, place]
    both = evidence.shown[first] & evidence.shown[second]
    rows, distance = np.sort(np.column_stack([first, second])[both].astype(int), axis=1), distance[both]
    if not len(rows):
        return rows
    nearest = np.full(len(table), np.inf, np.float32)
    np.minimum.at(nearest, rows.ravel(), np.repeat(distance, 2))
    rows = np.unique(rows[distance <= np.quantile(nearest[np.isfinite(nearest)], CLOSE)], axis=0)
    return rows[_matters(evidence, rows)]


def _likeness(evidence: Evidence, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Greatest correlation of the details under a shift, as they are and with one mirrored, (p,) float32 each."""
    if not len(pairs):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    from pipeline.features.auditing.alignment import aligned

    rows, places = np.unique(pairs, return_inverse=True)
    details, coarse = _details(evidence, rows)
    places, found = places.reshape(pairs.shape), []
    margin = round(SHIFT * details.shape[1] / SIDE)
    for mirrored in (False, True):
        likeness = aligned(coarse, places, -(-margin // 2), mirrored)
        worth = np.flatnonzero(likeness >= COARSE)
        likeness[worth] = aligned(details, places[worth], margin, mirrored)
        found.append(np.where(likeness >= COARSE, likeness, 0))
    return found[0], found[1]


def _details(evidence: Evidence, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails of feature rows, and the same at half the size, (n, S, S) and (n, S / 2, S / 2) float16."""
    details, coarse = [], []
    for start in range(0, len(rows), SOME):
        for part in _pictures(evidence, rows[start : start + SOME]):
            small = thumbnails(part)
            half = small[:, : small.shape[1] // 2 * 2, : small.shape[2] // 2 * 2]
            half = half.reshape(len(half), half.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
            details.append(small.astype(np.float16))
            coarse.append(half.astype(np.float16))
    return np.concatenate(details), np.concatenate(coarse)


def _apart(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    space = evidence.space(evidence.file)
    return np.array([np.linalg.norm(space[one] - space[other]) for one, other in rows.tolist()], np.float32)


def _difference(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    out = np.empty(len(rows), np.float32)
    for number, pair in enumerate(rows):
        shown = evidence.picture(pair)
        assert shown is not None  # both have one
        one, other = shown.astype(np.float32)
        out[number] = np.abs(one - other).mean() / np.iinfo(shown.dtype).max
    return out

"""Which training rows an epoch shows, and in which order.

A sampler decides how often each class is drawn; the rows of a class are then dealt out in shuffled passes, so that none
comes twice before all others of its class came once. That has less variance than independent draws with weights, and
no limit at 2^24 rows, where torch's multinomial ends (pytorch#2576).
"""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rows:
    """The training rows, and how far training is.

    Attributes:
        targets: class numbers (n,) int; or (n, L) int8 of 1 present, 0 absent, -1 missing for several labels.
        classes: K, or L.
        groups: patient numbers, (n,) int.
        epoch: from 1.
        epochs: of the whole training.
        recall: of each class on validation after the last epoch, (K,) float, NaN where it has no row; None before.
    """

    targets: np.ndarray
    classes: int
    groups: np.ndarray
    epoch: int
    epochs: int
    recall: np.ndarray | None = None


def pools(targets: np.ndarray, classes: int) -> np.ndarray:
    """The one class that each row is drawn for, (n,) int64.

    Of several labels it is the present one that the fewest rows have (the first of equals), or `classes` for a row
    with no label present: "nothing found" is a pool of its own. A missing label is not a present one.
    """
    if targets.ndim == 1:
        return targets.astype(np.int64)
    present = targets == 1  # (n, L)
    rarest_first = np.argsort(present.sum(0), kind="stable")
    return np.where(present.any(1), rarest_first[present[:, rarest_first].argmax(1)], classes)


def none(rows: Rows, rng: np.random.Generator) -> np.ndarray:
    """Every row once, shuffled: (n,) int positions."""
    return rng.permutation(len(rows.targets))


def weighted(rows: Rows, rng: np.random.Generator) -> np.ndarray:
    """n draws, every class equally often: a row of class c has the weight 1 / n_c."""
    return tempered(rows, rng, 1)


def tempered(rows: Rows, rng: np.random.Generator, power: float) -> np.ndarray:
    """n draws, a row of class c with the weight 1 / n_c^power: 0 is as the data are, 1 is `weighted`.

    With power 0.5 the square-root sampling of Mahajan et al. 2018 (arXiv:1805.00932).
    """
    return _draw(rows, rng, lambda counts: counts ** (1 - power))


def effective(rows: Rows, rng: np.random.Generator, beta: float) -> np.ndarray:
    """n draws, a row of class c with the weight (1 - beta) / (1 - beta^n_c).

    The inverse of the effective number of samples, Cui et al. 2019 (arXiv:1901.05555).
    """
    return _draw(rows, rng, lambda counts: counts / -np.expm1(counts * np.log(beta)))


def dynamic(rows: Rows, rng: np.random.Generator, floor: float) -> np.ndarray:
    """n draws, class c in the share of floor + 1 - its recall on validation; in the first epoch as `weighted`.

    After Pouyanfar et al. 2018 (doi:10.1109/MIPR.2018.00027), with recall for their F1 and a floor, so that no class
    is forgotten. A class without a recall ("nothing found", or none in validation) takes the mean of the others.
    """
    if rows.recall is None or np.isnan(rows.recall).all():
        return weighted(rows, rng)
    known = np.append(rows.recall, np.nan)  # the last is "nothing found"
    shares = floor + 1 - np.where(np.isnan(known), np.nanmean(known), known)
    return _draw(rows, rng, lambda counts: shares[: len(counts)])


def two_phase(rows: Rows, rng: np.random.Generator, last: int) -> np.ndarray:
    """n draws as `weighted`, and in the `last` epochs every row once, as the data are.

    Havaei et al. 2017 (arXiv:1505.03540): balanced batches to learn the classes, natural ones to learn their
    frequencies.
    """
    return (none if rows.epoch > rows.epochs - last else weighted)(rows, rng)


def patient(rows: Rows, rng: np.random.Generator) -> np.ndarray:
    """n draws: every class equally often, in a class every patient equally often, of a patient every row equally often.

    Each of the three within one draw: a patient with forty pictures of a class weighs there as much as one with two.
    """
    pool = pools(rows.targets, rows.classes)
    classes = _order_of_classes(pool, rng, lambda counts: np.ones(len(counts)))
    groups = np.unique(rows.groups, return_inverse=True)[1]
    pairs, pair_of_row = np.unique(groups * (rows.classes + 1) + pool, return_inverse=True)  # patient and class
    return _fill(_fill(classes, pairs % (rows.classes + 1), rng), pair_of_row, rng)


def _draw(rows: Rows, rng: np.random.Generator, share: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    pool = pools(rows.targets, rows.classes)
    return _fill(_order_of_classes(pool, rng, share), pool, rng)


def _order_of_classes(
    pool: np.ndarray, rng: np.random.Generator, share: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A class for each of n draws, (n,) int; `share` gives those of the classes, up to a factor, from their counts."""
    counts = np.bincount(pool)
    shares = np.where(counts > 0, share(np.maximum(counts, 1).astype(float)), 0)
    # One random offset for all: each quota is rounded up as often as its fraction says, and their sum is n.
    # Rounding keeps a whole quota whole.
    ends = np.round(len(pool) * np.cumsum(shares) / shares.sum(), 6) + rng.random()
    return rng.permutation(np.repeat(np.arange(len(counts)), np.diff(np.floor(ends).astype(np.int64), prepend=0)))


def _fill(sequence: np.ndarray, pool: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each pool number in `sequence` (m,) a position in `pool` (n,) that has it, dealt in shuffled passes: (m,)."""
    sizes = np.bincount(pool)
    draws = np.bincount(sequence, minlength=len(sizes))
    passes = -(-draws // np.maximum(sizes, 1))
    pool_of_pass = np.repeat(np.arange(len(sizes)), passes)
    lengths = sizes[pool_of_pass]
    pass_of = np.repeat(np.arange(len(lengths)), lengths)  # whole passes, (m + less than n,)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(pass_of)) + np.repeat(starts[pool_of_pass] - np.cumsum(lengths) + lengths, lengths)
    dealt = _by(pool)[place][_by(pass_of, rng)]
    whole = passes * sizes
    rank = np.arange(len(dealt)) - np.repeat(np.cumsum(whole) - whole, whole)
    filled = np.empty(len(sequence), np.int64)
    filled[_by(sequence)] = dealt[rank < np.repeat(draws, whole)]
    return filled


def _by(numbers: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Positions sorted by number; of equal ones in their order, or in random order."""
    narrow = numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))  # numpy sorts 8 and 16 bits by radix
    if rng is None:
        return np.argsort(narrow, kind="stable")
    order = rng.permutation(len(numbers))
    return order[np.argsort(narrow[order], kind="stable")]


SAMPLERS: dict[str, Callable[..., np.ndarray]] = {
    "none": none,
    "weighted": weighted,
    "tempered": tempered,
    "effective": effective,
    "dynamic": dynamic,
    "two_phase": two_phase,
    "patient": patient,
}

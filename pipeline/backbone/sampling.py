"""Which training rows an epoch shows, and in which order."""

from collections.abc import Callable

import numpy as np


def natural(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every row once, shuffled: (n,) int positions for labels (n,) int."""
    return rng.permutation(len(labels))


def weighted(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many draws as rows, every class equally often (weight 1 / class count): (n,) int positions.

    A class is dealt out in shuffled passes, so no row is drawn twice before all of its class were: the weights are
    those of torch's WeightedRandomSampler with less variance, and there is no limit at 2^24 rows (pytorch#2576).
    """
    present = np.unique(labels)
    draws = rng.permutation(np.arange(len(labels)) % len(present))
    order = np.empty(len(labels), int)
    for number, label in enumerate(present):
        rows, places = np.flatnonzero(labels == label), np.flatnonzero(draws == number)
        passes = [rng.permutation(rows) for _ in range(-(-len(places) // len(rows)))]
        order[places] = np.concatenate([*passes, rows[:0]])[: len(places)]
    return order


SAMPLERS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": natural,
    "weighted": weighted,
}

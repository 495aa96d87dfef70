"""Iterative stratification over whole groups, in arrays of counts."""

import itertools
from collections.abc import Sequence

import numpy as np

from pipeline.splitting.strata import TEST, TRAIN

# Swaps compare all pairs. Of more groups than this, moves of so many, drawn at random, come as close.
MOST_GROUPS_TO_REFINE = 2000
SMALLEST_GAIN = 1e-9
EVEN = 0.002  # relative deviation, root mean square, below which refining goes on for the sake of nothing


def assign(counts: np.ndarray, shares: Sequence[float], rng: np.random.Generator, least: int = 1) -> np.ndarray:
    """Role of each group, (P,) int: iterative stratification over whole groups, then moves and swaps that help.

    The label with the fewest rows left is dealt out first, largest groups first, each to the role that lacks most of
    that label, and of several to the one with most room (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10). Here
    a group takes the place of a row, and what a role lacks is measured by what it should have: the largest role would
    else take the largest groups, and roles would differ in their number of patients.

    Args:
        counts: rows of each label in each group, (P, L) int.
        shares: wanted share of each role, (R,), sum 1.
        rng: breaks ties and varies the order of groups of similar size.
        least: groups of each label that each role gets in the end, as far as there are and others can spare them.
    """
    wanted = np.outer(shares, counts.sum(0)).astype(float)  # (R, L)
    deal = _Deal(counts, wanted, rng)
    roles = np.full(len(counts), -1)
    jitter = rng.uniform(0.5, 1.5, len(counts))
    while (left := counts[roles < 0].sum(0)).any():
        label = int(np.where(left > 0, left, np.inf).argmin())
        holders = np.flatnonzero((roles < 0) & (counts[:, label] > 0))
        order = holders[np.argsort(-counts[holders, label] * jitter[holders], kind="stable")]
        roles[order] = [deal.give(group, label) for group in order.tolist()]
    roles[roles < 0] = TRAIN
    few = len(counts) <= MOST_GROUPS_TO_REFINE
    movable = np.arange(len(counts)) if few else rng.choice(len(counts), MOST_GROUPS_TO_REFINE, replace=False)
    table = np.stack([counts[roles == role].sum(0) for role in range(len(shares))])
    roles[movable] = _refine(counts[movable], roles[movable], table, wanted, swap=few)
    return _fill(counts, roles, len(shares), least)


class _Deal:
    """What each role still lacks; in lists, which are several times faster than arrays of three."""

    def __init__(self, counts: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> None:
        self.held = [[(label, rows) for label, rows in enumerate(of) if rows] for of in counts.tolist()]
        self.unit = (1 / np.maximum(wanted, SMALLEST_GAIN)).T.tolist()  # L × R
        self.lacking = np.ones_like(wanted).T.tolist()  # L × R, shares of what is wanted
        self.room = wanted.sum(1).tolist()  # R, rows
        self.rng = rng

    def give(self, group: int, label: int) -> int:
        """The role that a group goes to for the sake of a label."""
        candidates = _largest(self.lacking[label], range(len(self.room)))
        if len(candidates) > 1:
            candidates = _largest(self.room, candidates)
        role = candidates[0] if len(candidates) == 1 else candidates[int(self.rng.integers(len(candidates)))]
        for held, rows in self.held[group]:
            self.lacking[held][role] -= rows * self.unit[held][role]
            self.room[role] -= rows
        return role


def _largest(values: Sequence[float], candidates: Sequence[int]) -> list[int]:
    least = max(values[role] for role in candidates) - SMALLEST_GAIN
    return [role for role in candidates if values[role] >= least]


def _refine(counts: np.ndarray, roles: np.ndarray, table: np.ndarray, wanted: np.ndarray, swap: bool) -> np.ndarray:
    """Descend on the summed squared relative deviation of (role, label) counts from the wanted ones.

    Each step takes the best move of one group; when none helps, the best swap of two groups between roles. It ends
    where nothing helps, or all is even.

    Args:
        counts: of the groups that may be moved, (P, L).
        roles: theirs, (P,).
        table: counts of all groups by role, (R, L).
        wanted: likewise.
        swap: whether to try swaps.
    """
    there = wanted.any(0)
    counts, table, wanted = counts[:, there].astype(float), table[:, there].astype(float), wanted[:, there]
    roles, rows, weight = roles.copy(), np.arange(len(counts)), 1 / wanted**2
    own = counts**2 @ weight.T  # (P, R)
    for _ in range(4 * len(counts)):
        surplus = table - wanted  # (R, L)
        if (weight * surplus**2).mean() < EVEN**2:
            break
        pull = 2 * counts @ (weight * surplus).T  # (P, R)
        leave = (own - pull)[rows, roles]  # (P,)
        move = leave[:, None] + own + pull  # (P, R): change of the sum when the group moves there
        move[rows, roles] = 0
        group, role = np.unravel_index(move.argmin(), move.shape)
        moved = {int(group): int(role)} if move[group, role] < -SMALLEST_GAIN else {}
        if swap and not moved:
            moved = _best_swap(counts, roles, move, weight)
        if not moved:
            break
        for group, role in moved.items():
            table[roles[group]] -= counts[group]
            table[role] += counts[group]
            roles[group] = role
    return roles


def _best_swap(counts: np.ndarray, roles: np.ndarray, move: np.ndarray, weight: np.ndarray) -> dict[int, int]:
    """New roles of the two groups whose exchange helps most; empty if none does."""
    best, swap = -SMALLEST_GAIN, {}
    for one, other in itertools.combinations(range(len(weight)), 2):
        here, there = np.flatnonzero(roles == one), np.flatnonzero(roles == other)
        if not len(here) or not len(there):
            continue
        both = 2 * (counts[here] * (weight[one] + weight[other])) @ counts[there].T
        change = move[here, other][:, None] + move[there, one] - both
        i, j = np.unravel_index(change.argmin(), change.shape)
        if change[i, j] < best:
            best, swap = change[i, j], {int(here[i]): other, int(there[j]): one}
    return swap


def _fill(counts: np.ndarray, roles: np.ndarray, number: int, least: int) -> np.ndarray:
    """Give each role `least` groups of each label: the smallest ones, from roles that can spare them."""
    roles, held = roles.copy(), counts > 0
    fillable = held.sum(0) >= number * least
    while True:
        holders = np.stack([held[roles == role].sum(0) for role in range(number)])
        for role, label in np.argwhere((holders < least) & fillable).tolist():
            spare = ~((holders[roles] <= least) & held).any(1)  # (P,)
            groups = np.flatnonzero(spare & held[:, label])  # none of this role, which has no more than `least`
            if len(groups):
                roles[groups[counts[groups].sum(1).argmin()]] = role
                break
        else:
            return roles


def holdout(counts: np.ndarray, val: float, test: float, rng: np.random.Generator) -> list[np.ndarray]:
    """One fold: the role of each group, (P,) int."""
    return [assign(counts, (1 - val - test, val, test), rng)]


def k_fold(counts: np.ndarray, folds: int, val: float, rng: np.random.Generator) -> list[np.ndarray]:
    """K folds: each group is in the test role of exactly one; validation is carved out of the others."""
    # What is not tested must do for training and validation: of two folds, each needs two patients of a class.
    bucket = assign(counts, [1 / folds] * folds, rng, least=2 if folds == 2 else 1)
    val_of_rest = min(val * folds / (folds - 1), 0.5)
    return [carve(counts, bucket == fold, val_of_rest, rng) for fold in range(folds)]


def carve(counts: np.ndarray, is_test: np.ndarray, val: float, rng: np.random.Generator) -> np.ndarray:
    """Role of each group, (P,) int: `val` is the share of those that are not in test."""
    roles = np.full(len(counts), TEST)
    roles[~is_test] = assign(counts[~is_test], (1 - val, val), rng)
    return roles

"""Assign whole patients to roles so that every role has the same mix of labels."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import ROLES
from pipeline.errors import PipelineError

TRAIN, VAL, TEST = 0, 1, 2
MOST_PATIENTS_LISTED = 5
# Swaps compare all pairs. With more groups than this, moves alone come as close.
MOST_GROUPS_TO_SWAP = 2000
SMALLEST_GAIN = 1e-9


def assign(counts: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Role of each group, (P,) int: iterative stratification over whole groups, then moves and swaps that help.

    The label with the fewest rows left is dealt out first, largest groups first, each to the role that lacks most of
    that label (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10; here a group takes the place of a row).

    Args:
        counts: rows of each label in each group, (P, L) int.
        shares: wanted share of each role, (R,), sum 1.
        rng: breaks ties and varies the order of groups of similar size.
    """
    lacking = np.outer(shares, counts.sum(0)).astype(float)  # (R, L)
    roles = np.full(len(counts), -1)
    jitter = rng.uniform(0.5, 1.5, len(counts))
    while (open_groups := roles < 0).any():
        left = counts[open_groups].sum(0)
        if not left.any():
            break
        label = np.where(left > 0, left, np.inf).argmin()
        holders = np.flatnonzero(open_groups & (counts[:, label] > 0))
        for group in holders[np.argsort(-counts[holders, label] * jitter[holders], kind="stable")]:
            wants = lacking[:, label]
            candidates = np.flatnonzero(wants == wants.max())
            totals = lacking[candidates].sum(1)
            role = rng.choice(candidates[totals == totals.max()])
            roles[group] = role
            lacking[role] -= counts[group]
    roles[roles < 0] = TRAIN
    return _refine(counts, roles, np.asarray(shares))


def _refine(counts: np.ndarray, roles: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Descend on the summed squared relative deviation of (role, label) counts from the wanted ones.

    Each step takes the best move of one group; when none helps, the best swap of two groups between roles.
    """
    roles = roles.copy()
    counts = counts[:, counts.any(0)].astype(float)
    wanted = np.outer(shares, counts.sum(0))  # (R, L)
    weight = 1 / wanted**2
    own = counts**2 @ weight.T  # (P, R)
    rows = np.arange(len(counts))
    for _ in range(4 * len(counts)):
        table = np.stack([counts[roles == role].sum(0) for role in range(len(shares))])
        pull = 2 * counts @ (weight * (table - wanted)).T  # (P, R)
        leave = (own - pull)[rows, roles]  # (P,)
        move = leave[:, None] + own + pull  # (P, R): change of the sum when the group moves there
        move[rows, roles] = 0
        group, role = np.unravel_index(move.argmin(), move.shape)
        if move[group, role] < -SMALLEST_GAIN:
            roles[group] = role
            continue
        swap = _best_swap(counts, roles, move, weight) if len(counts) <= MOST_GROUPS_TO_SWAP else None
        if swap is None:
            break
        roles[list(swap)] = roles[list(swap[::-1])]
    return roles


def _best_swap(counts: np.ndarray, roles: np.ndarray, move: np.ndarray, weight: np.ndarray) -> tuple[int, int] | None:
    best, pair = -SMALLEST_GAIN, None
    for one, other in itertools.combinations(range(len(weight)), 2):
        here, there = np.flatnonzero(roles == one), np.flatnonzero(roles == other)
        if not len(here) or not len(there):
            continue
        both = 2 * (counts[here] * (weight[one] + weight[other])) @ counts[there].T
        change = move[here, other][:, None] + move[there, one] - both
        i, j = np.unravel_index(change.argmin(), change.shape)
        if change[i, j] < best:
            best, pair = change[i, j], (int(here[i]), int(there[j]))
    return pair


def holdout(counts: np.ndarray, val: float, test: float, rng: np.random.Generator) -> list[np.ndarray]:
    """One fold: the role of each group, (P,) int."""
    return [assign(counts, (1 - val - test, val, test), rng)]


def k_fold(counts: np.ndarray, folds: int, val: float, rng: np.random.Generator) -> list[np.ndarray]:
    """K folds: each group is in the test role of exactly one; validation is carved out of the others."""
    bucket = assign(counts, [1 / folds] * folds, rng)
    val_of_rest = min(val * folds / (folds - 1), 0.5)
    return [_carve(counts, bucket == fold, val_of_rest, rng) for fold in range(folds)]


def _carve(counts: np.ndarray, is_test: np.ndarray, val: float, rng: np.random.Generator) -> np.ndarray:
    roles = np.full(len(counts), TEST)
    roles[~is_test] = assign(counts[~is_test], (1 - val, val), rng)
    return roles


def best_split(
    counts: np.ndarray, folds: int, val: float, test: float, tries: int, seed: Sequence[int]
) -> list[np.ndarray]:
    """The folds with the fewest absent classes, then the least drift, among `tries` assignments.

    Args:
        counts: rows of each class in each group, (P, L) int.
        folds: 1 for one hold-out with `test`, else the number of folds.
        val: share of all groups for validation.
        test: share of all groups for test, for one hold-out.
        tries: number of assignments to compare.
        seed: entropy; try number is appended.

    Returns:
        per fold, the role of each group, (P,) int.
    """

    def attempt(number: int) -> list[np.ndarray]:
        rng = np.random.default_rng([*seed, number])
        return holdout(counts, val, test, rng) if folds == 1 else k_fold(counts, folds, val, rng)

    candidates = [attempt(number) for number in range(tries)]
    return min(candidates, key=lambda split: _cost(counts, split, folds))


def _cost(counts: np.ndarray, split: list[np.ndarray], folds: int) -> tuple[int, int, float]:
    tables = [role_counts(counts, roles) for roles in split]
    required = sum(len(list(absent_classes(counts, table, folds, required=True))) for table in tables)
    absent = sum(len(list(absent_classes(counts, table, folds, required=False))) for table in tables)
    return required, absent, max(worst_drift(counts, table)[0] for table in tables)


def role_counts(counts: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """Rows of each class in each role, (3, L) int."""
    return np.stack([counts[roles == role].sum(0) for role in range(len(ROLES))])


def absent_classes(counts: np.ndarray, table: np.ndarray, folds: int, required: bool) -> Iterator[tuple[int, int]]:
    """(role, class) without a row; with `required`, only those that enough patients could have filled.

    Training needs every class. Validation and test need a class that has a patient for each of the roles and folds.
    """
    patients = (counts > 0).sum(0)
    for role, label in zip(*np.nonzero(table == 0), strict=True):
        if not required or role == TRAIN or patients[label] >= max(len(ROLES), folds):
            yield int(role), int(label)


def worst_drift(counts: np.ndarray, table: np.ndarray) -> tuple[float, int | None]:
    """Largest relative difference of a class's share in a role from its share in all rows, and the class.

    Only classes with at least ten patients per role are judged: fewer whole patients can't be dealt out evenly. Where
    none is, the answer is (0, None).
    """
    overall = counts.sum(0) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = np.nanmax(np.abs(table / table.sum(1, keepdims=True) / overall - 1), axis=0)
    judged = (counts > 0).sum(0) >= 10 * len(ROLES)
    if not judged.any():
        return 0.0, None
    drift[~judged] = 0
    return float(drift.max()), int(drift.argmax())


def split_by_patient(
    index: pd.DataFrame,
    classes: Sequence[str],
    folds: int,
    repeats: int,
    val: float,
    test: float,
    tries: int,
    seed: int,
) -> list[np.ndarray]:
    """Role of each row of the index, one (n,) int array per fold and repeat.

    Raises:
        PipelineError: a class has one patient, or no assignment fills every role.
    """
    groups, counts = _count(index, classes)
    _refuse_single_patients(index, classes, counts)
    split = []
    for repeat in range(repeats):
        best = best_split(counts, folds, val, test, tries, (seed, repeat))
        _refuse_absent(index, classes, counts, best, folds, tries)
        split += [roles[groups] for roles in best]
    return split


def split_as_given(index: pd.DataFrame, classes: Sequence[str], val: float, tries: int, seed: int) -> list[np.ndarray]:
    """The user's own split as one fold; without a validation role it is carved out of training by patient.

    Raises:
        PipelineError: a row has no role, a patient is in two roles, or train or test is absent.
    """
    remedy = "mend the split, or set split.honour: false to have patients split here"
    role_of = {name: number for number, name in enumerate(ROLES)}
    roles = index["split"].map(role_of)
    if roles.isna().any():
        raise PipelineError("index.parquet: split", f"{int(roles.isna().sum())} images have no split", remedy)
    roles = roles.to_numpy(int)
    for role in (TRAIN, TEST):
        if not (roles == role).any():
            raise PipelineError("index.parquet: split", f"no image is in {ROLES[role]}", remedy)
    shared = index.assign(role=roles).groupby("group")["role"].nunique()
    leaking = shared.index[shared > 1]
    if len(leaking):
        paths = index.loc[index["group"].isin(leaking), "path"].head(MOST_PATIENTS_LISTED)
        raise PipelineError(
            "index.parquet: split",
            f"{len(leaking)} patients are in more than one role, with images such as {', '.join(paths)}",
            remedy,
        )
    if not (roles == VAL).any():
        groups, counts = _count(index, classes)
        is_test = np.zeros(len(counts), bool)
        is_test[groups[roles == TEST]] = True
        attempts = [_carve(counts, is_test, val, np.random.default_rng([seed, number])) for number in range(tries)]
        roles = min(attempts, key=lambda split: _cost(counts, [split], 1))[groups]
    return [roles]


def describe(index: pd.DataFrame, classes: Sequence[str], split: Sequence[np.ndarray], seed: int) -> dict[str, Any]:
    """Summary for splits.json: counts per fold, role and class, the worst ratio drift, and what is worth a warning."""
    groups, counts = _count(index, classes)
    folds, warnings = [], []
    for fold, roles in enumerate(split):
        of_group = np.zeros(len(counts), int)
        of_group[groups] = roles
        table = role_counts(counts, of_group)
        drift, worst = worst_drift(counts, table)
        for role, label in absent_classes(counts, table, 1, required=False):
            warnings.append(f"fold {fold}: class {classes[label]} has no image in {ROLES[role]}")
        described = {
            name: {
                "images": int(table[role].sum()),
                "patients": int((of_group == role).sum()),
                "classes": dict(zip(classes, table[role].tolist(), strict=True)),
            }
            for role, name in enumerate(ROLES)
        }
        drifted = {"worst_drift": None, "worst_class": None}
        if worst is not None:
            drifted = {"worst_drift": drift, "worst_class": classes[worst]}
        folds.append({"fold": fold, "roles": described, **drifted})
    return {"seed": seed, "classes": list(classes), "folds": folds, "warnings": warnings}


def _count(index: pd.DataFrame, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Group number of each row in order of appearance, (n,), and rows of each class in each group, (P, L)."""
    groups = pd.factorize(index["group"])[0]
    labels = pd.Categorical(index["label"], categories=list(classes)).codes
    counts = np.zeros((groups.max() + 1, len(classes)), int)
    np.add.at(counts, (groups, labels), 1)
    return groups, counts


def _refuse_single_patients(index: pd.DataFrame, classes: Sequence[str], counts: np.ndarray) -> None:
    patients = (counts > 0).sum(0)
    if (patients < 2).any():
        few = ", ".join(
            f"{name} ({images} images)"
            for name, images, n in zip(classes, counts.sum(0), patients, strict=True)
            if n < 2
        )
        raise PipelineError(
            "data.label",
            f"classes with fewer than two patients can't be both trained on and tested: {few}",
            "add patients, merge the class with a neighbour in the labels CSV, or leave it out by data.classes",
        )


def _refuse_absent(
    index: pd.DataFrame,
    classes: Sequence[str],
    counts: np.ndarray,
    split: list[np.ndarray],
    folds: int,
    tries: int,
) -> None:
    for fold, roles in enumerate(split):
        table = role_counts(counts, roles)
        empty = [ROLES[role] for role in range(len(ROLES)) if not table[role].any()]
        absent = [f"{classes[c]} in {ROLES[role]}" for role, c in absent_classes(counts, table, folds, required=True)]
        if empty or absent:
            patients = dict(zip(classes, (counts > 0).sum(0).tolist(), strict=True))
            raise PipelineError(
                f"split, fold {fold}",
                f"none of {tries} assignments gives every role its classes; absent: {', '.join(absent or empty)}; "
                f"patients per class: {patients}",
                "lower split.folds, raise split.val and split.test, or add patients",
            )

"""Splits of an index by patient: our own, or the user's."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.artifacts import ROLES
from pipeline.errors import PipelineError
from pipeline.splitting.assign import carve, holdout, k_fold
from pipeline.splitting.strata import TEST, TRAIN, VAL, Strata, absent, count, worst_drift

MOST_PATIENTS_LISTED = 5


def best_split(
    strata: Strata, folds: int, val: float, test: float, tries: int, seed: Sequence[int]
) -> list[np.ndarray]:
    """The folds with the fewest absent classes, then the least drift, among `tries` assignments.

    Args:
        strata: what to keep in balance.
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
        return holdout(strata.counts, val, test, rng) if folds == 1 else k_fold(strata.counts, folds, val, rng)

    return min(map(attempt, range(tries)), key=lambda split: _cost(strata, split, folds))


def _cost(strata: Strata, split: list[np.ndarray], folds: int) -> tuple[int, int, float]:
    required = sum(len(list(absent(strata, roles, folds, required=True))) for roles in split)
    every = sum(len(list(absent(strata, roles, folds, required=False))) for roles in split)
    return required, every, max(worst_drift(strata, roles)[0] for roles in split)


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
        PipelineError: a class or label has one patient, or no assignment fills every role.
    """
    strata = count(index, classes)
    _refuse_single_patients(strata)
    split = []
    for repeat in range(repeats):
        best = best_split(strata, folds, val, test, tries, (seed, repeat))
        _refuse_absent(strata, best, folds, tries)
        split += [roles[strata.groups] for roles in best]
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
        strata = count(index, classes)
        is_test = np.zeros(len(strata.counts), bool)
        is_test[strata.groups[roles == TEST]] = True
        rngs = [np.random.default_rng([seed, number]) for number in range(tries)]
        attempts = (carve(strata.counts, is_test, val, rng) for rng in rngs)
        roles = min(attempts, key=lambda split: _cost(strata, [split], 1))[strata.groups]
    return [roles]


def _refuse_single_patients(strata: Strata) -> None:
    few = np.flatnonzero(strata.essential & (strata.patients < 2))
    if len(few):
        rows = strata.counts.sum(0)
        told = ", ".join(f"{strata.told(stratum)} ({rows[stratum]} images)" for stratum in few.tolist())
        merge = "merge the class with a neighbour in the labels CSV, " if strata.kind == "class" else ""
        raise PipelineError(
            "data.label",
            f"what fewer than two patients have can't be both trained on and tested: {told}",
            f"add patients, {merge}or leave the {strata.kind} out by data.classes",
        )


def _refuse_absent(strata: Strata, split: list[np.ndarray], folds: int, tries: int) -> None:
    for fold, roles in enumerate(split):
        empty = [name for role, name in enumerate(ROLES) if not (roles == role).any()]
        lacking = [f"{strata.told(s)} in {ROLES[role]}" for role, s in absent(strata, roles, folds, required=True)]
        if empty or lacking:
            patients = dict(zip(strata.names[: strata.classes], strata.patients.tolist(), strict=False))
            kinds = "classes" if strata.kind == "class" else "labels"
            raise PipelineError(
                f"split, fold {fold}",
                f"none of {tries} assignments gives every role its {kinds}; absent: {', '.join(lacking or empty)}; "
                f"patients per {strata.kind}: {patients}",
                "lower split.folds, raise split.val and split.test, or add patients",
            )

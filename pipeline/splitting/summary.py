"""The whole of a split, and what it says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import LABEL, MISSING, ROLES
from pipeline.params import Split
from pipeline.splitting.patients import split_as_given, split_by_patient
from pipeline.splitting.strata import Strata, absent, count, role_counts, worst_drift


def split(index: pd.DataFrame, classes: Sequence[str], p: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The user's split where the labels bring one, else patients assigned to roles.

    Returns:
        image_id, fold, role; and the summary of `describe`, with whether the split is the user's own.
    """
    honoured = p.honour and bool((index["split"] != "").any())
    if honoured:
        roles = split_as_given(index, classes, p.val, p.tries, p.seed)
    else:
        roles = split_by_patient(index, classes, p.folds, p.repeats, p.val, p.test, p.tries, p.seed)
    names = np.array(ROLES, object)
    folds = [
        pd.DataFrame({"image_id": index["image_id"], "fold": fold, "role": names[of]}) for fold, of in enumerate(roles)
    ]
    summary = {**describe(index, classes, roles, p.seed), "honoured": honoured}
    return pd.concat(folds, ignore_index=True), summary


def describe(index: pd.DataFrame, classes: Sequence[str], split: Sequence[np.ndarray], seed: int) -> dict[str, Any]:
    """Summary for splits.json: counts per fold, role and class, the worst ratio drift, and what is worth a warning.

    The count of a label is that of the images which have it; beside it stand the images without any label, and those
    for which a label is missing.
    """
    strata = count(index, classes)
    folds, warnings = [], []
    for fold, roles in enumerate(split):
        of_group = np.zeros(len(strata.counts), int)
        of_group[strata.groups] = roles
        described = _describe_roles(index, classes, strata, of_group)
        for role, stratum in absent(strata, of_group, 1, required=False):
            warnings.append(f"fold {fold}: {strata.told(stratum)} has no image in {ROLES[role]}")
        drift, worst = worst_drift(strata, of_group)
        drifted = {"worst_drift": None, "worst_class": None}
        if worst is not None:
            drifted = {"worst_drift": drift, "worst_class": strata.names[worst]}
        folds.append({"fold": fold, "roles": described, **drifted})
    return {"seed": seed, "classes": list(classes), "folds": folds, "warnings": warnings}


def _describe_roles(
    index: pd.DataFrame, classes: Sequence[str], strata: Strata, roles: np.ndarray
) -> dict[str, dict[str, Any]]:
    table = role_counts(strata.counts, roles).tolist()
    described: dict[str, dict[str, Any]] = {
        name: {
            "images": int(strata.images[roles == role].sum()),
            "patients": int((roles == role).sum()),
            "classes": dict(zip(classes, table[role], strict=False)),
        }
        for role, name in enumerate(ROLES)
    }
    if strata.kind == "label":
        missing = index[[LABEL + name for name in classes]].to_numpy() == MISSING
        for role, name in enumerate(ROLES):
            open_here = missing[roles[strata.groups] == role].sum(0).tolist()
            described[name]["without"] = table[role][strata.classes]
            described[name]["missing"] = dict(zip(classes, open_here, strict=True))
    return described


def lines(summary: Mapping[str, Any]) -> list[str]:
    """Lines for the log: whose split it is, and the roles of each fold."""
    own = ["the labels bring their own split: split.folds, split.repeats and split.test are not used"]
    return own * summary["honoured"] + [
        f"fold {fold['fold']}: "
        + ", ".join(f"{role} {of['images']} of {of['patients']} patients" for role, of in fold["roles"].items())
        + f"; worst ratio drift {_drift(fold)}"
        for fold in summary["folds"]
    ]


def _drift(fold: Mapping[str, Any]) -> str:
    if fold["worst_class"] is None:
        return "not judged, since every class has few patients"
    return f"{fold['worst_drift']:.1%} ({fold['worst_class']})"

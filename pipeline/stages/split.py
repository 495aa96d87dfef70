"""index.parquet → splits.parquet, splits.json."""

import logging
from typing import Any

import pandas as pd

from pipeline import artifacts, splitting
from pipeline.params import Params

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Take the user's split where the labels bring one, else assign patients to roles."""
    index = artifacts.load_index()
    classes = artifacts.classes(index, params.data.classes)
    p = params.split
    if p.honour and (index["split"] != "").any():
        split = splitting.split_as_given(index, classes, p.val, p.tries, p.seed)
        if p.folds * p.repeats > 1:
            log.info("the labels bring their own split: one fold, split.folds and split.repeats are not used")
    else:
        split = splitting.split_by_patient(index, classes, p.folds, p.repeats, p.val, p.test, p.tries, p.seed)
    summary = splitting.describe(index, classes, split, p.seed)
    folds = [
        pd.DataFrame(
            {
                "image_id": index["image_id"],
                "fold": fold,
                "role": pd.Series(roles).map(dict(enumerate(artifacts.ROLES))),
            }
        )
        for fold, roles in enumerate(split)
    ]
    artifacts.save_splits(pd.concat(folds, ignore_index=True), summary)
    for fold in summary["folds"]:
        counts = ", ".join(f"{role} {of['images']} of {of['patients']} patients" for role, of in fold["roles"].items())
        log.info("fold %s: %s; worst ratio drift %s", fold["fold"], counts, _drift(fold))
    for warning in summary["warnings"]:
        log.warning(warning)


def _drift(fold: dict[str, Any]) -> str:
    if fold["worst_class"] is None:
        return "not judged, since every class has few patients"
    return f"{fold['worst_drift']:.1%} ({fold['worst_class']})"

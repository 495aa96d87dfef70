"""Predictions of arms as their files hold them: checked, put in the same order, turned to arrays."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.judge import intervals, tally
from pipeline.judge.arms import Rows
from pipeline.judge.tally import Multilabel, Predictions

log = logging.getLogger(__name__)


def in_order(arm: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """An arm's predictions in the order of image_id and fold.

    Raises:
        PipelineError: no row of a role, a label without a probability, or a value that is no probability.
    """
    path, classes = artifacts.FITS / arm / "predictions.parquet", class_names(predictions)
    for role in ("val", "test"):
        if role not in set(predictions["role"]):
            raise PipelineError(path, f"has no {role} row", "look at artifacts/splits.json; then run `dvc repro`")
    values = predictions[[f"p_{name}" for name in classes]].to_numpy()
    sound = np.all((values >= 0) & (values <= 1 + 1e-3), axis=1)
    if marks := mark_columns(predictions):
        unknown, wanted = {name.removeprefix("y_") for name in marks} ^ set(classes), "from 0 to 1"
    else:
        unknown, wanted = set(predictions["label"]) - set(classes), "that sum to 1"
        sound &= np.abs(values.sum(axis=1) - 1) < 1e-3
    if unknown:
        lacks = "not both y_ and p_ of label" if marks else "no probability of class"
        raise PipelineError(path, f"has {lacks} {', '.join(sorted(unknown))}", _refit(arm))
    if not sound.all():
        raise PipelineError(path, f"{(~sound).sum()} of {len(sound)} rows hold no probabilities {wanted}", _refit(arm))
    return predictions.sort_values(["image_id", "fold"], kind="stable", ignore_index=True)


def check_same_rows(tables: Mapping[str, pd.DataFrame]) -> None:
    """Raise a PipelineError unless the arms have the same images, folds, roles, labels and classes."""
    (first, expected), *others = tables.items()
    keys = ["image_id", "fold", "role", "label", *mark_columns(expected)]
    for arm, found in others:
        same = set(keys) <= set(found) and class_names(found) == class_names(expected)
        if not same or not found[keys].equals(expected[keys]):
            what = f"its images, folds, roles, labels or classes are not those of {first}"
            raise PipelineError(artifacts.FITS / arm, what, f"{_refit(first)}, and {arm} likewise")


def _refit(arm: str) -> str:
    return f"run `dvc repro --force --single-item {artifacts.fit_stage(arm)}`"


def class_names(predictions: pd.DataFrame) -> list[str]:
    """Class names in the order of the p_ columns."""
    return [name.removeprefix("p_") for name in predictions.columns if name.startswith("p_")]


def mark_columns(predictions: pd.DataFrame) -> list[str]:
    """The columns that say whether each label is present, absent or missing; none where an image has one class."""
    return [name for name in predictions.columns if name.startswith("y_")]


def check_classes(given: Predictions | Multilabel, role: str, classes: Sequence[str]) -> None:
    """Log which classes have no test row.

    Raises:
        PipelineError: labels of which none is present in some rows of the role and absent in others.
    """
    lacking = np.asarray(~given.present.any(axis=0))
    if isinstance(given, Multilabel):
        lacking |= ~(given.known & ~given.present).any(axis=0)
        if lacking.all():
            what = f"no label is both present and absent in the {role} rows: there is nothing to judge"
            raise PipelineError(artifacts.FITS, what, "give the split more images of each label, or name other labels")
    empty = [name for name, lacks in zip(classes, lacking, strict=True) if lacks]
    if empty and role == "test":
        kind = "of class" if isinstance(given, Predictions) else "with, or none without,"
        log.warning("no test row %s %s: means over classes leave it out", kind, ", ".join(empty))


def in_index(images: pd.Series, index: pd.DataFrame) -> pd.DataFrame:
    """What the index says of each image; raises a PipelineError for one that it lacks."""
    found = index.set_index("image_id").reindex(images).rename_axis("image_id")
    if lacking := int(found["group"].isna().sum()):
        what = f"{lacking} predictions are of images that index.parquet lacks"
        raise PipelineError(artifacts.FITS, what, "run `dvc repro`, so that the fits follow the index")
    return found


def rows_of(predictions: pd.DataFrame, role: str, index: pd.DataFrame) -> Rows:
    """The rows of one role as arrays; raises a PipelineError for an image that the index lacks."""
    here, classes = predictions.query("role == @role"), class_names(predictions)
    groups = in_index(here["image_id"], index[["image_id", "group"]])["group"].to_numpy()
    marks = mark_columns(here)
    labels = (
        here[marks] if marks else pd.Series(pd.Categorical(here["label"], categories=classes).codes, dtype=np.int64)
    )
    probabilities = here[[f"p_{name}" for name in classes]].to_numpy(np.float64)
    of = tally.predictions(labels.to_numpy(), probabilities)
    return Rows(of, here["fold"].to_numpy(), intervals.codes(groups))

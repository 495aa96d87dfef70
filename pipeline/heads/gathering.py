"""The folds that arms are fitted in: features and what is known of each row, by image, exam or patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.heads import units

Kind = Literal["image", "exam", "patient"]
AT_ONCE = 1 << 14  # rows checked at a time


@dataclass(frozen=True)
class Fold:
    """One fold: a row of `table` and of `X` for each unit."""

    number: int
    X: np.ndarray  # (n, D) float32
    table: pd.DataFrame  # image_id, label, group, role, natural and what is learned
    described: dict[str, Any]

    @property
    def train(self) -> np.ndarray:
        """Positions to learn from."""
        return np.flatnonzero(self.table["role"] == "train")

    @property
    def predict(self) -> np.ndarray:
        """Positions to predict."""
        return np.flatnonzero(self.table["role"].isin(["val", "test"]))


def folds(
    features: artifacts.Features,
    index: pd.DataFrame,
    splits: pd.DataFrame,
    classes: Sequence[str],
    unit: Kind,
    pool: units.Pool,
) -> list[Fold]:
    """Every fold of the splits.

    Raises:
        PipelineError: rows, labels or units are not such that anything could be learned and judged.
    """
    found = []
    for number in sorted(splits["fold"].unique().tolist()):
        table = artifacts.join_rows(features.rows, index, splits[splits["fold"] == number], classes)
        table["natural"] = (features.rows["view"] == 0).to_numpy()
        _check_rows(number, table)
        X = features.of_fold(number)
        if unit == "image":
            found.append(Fold(number, X, table, {}))
        else:
            known = index.set_index("image_id")[["exam", "laterality", "view"]].reindex(table["image_id"])
            table["exam"], table["view"] = known["exam"].to_numpy(), features.rows["view"].to_numpy()
            table["position"] = (known["laterality"] + " " + known["view"]).to_numpy()
            found.append(_united(number, X, table, classes, unit, pool))
    if not artifacts.label_columns(index):
        _refuse_never_learned(found, classes)
    return found


def refuse_not_finite(features: artifacts.Features) -> None:
    """Raise a PipelineError that counts the rows with NaN or infinite features and names the first three."""
    for name, X in features.values.items():
        starts = range(0, len(X), AT_ONCE)
        finite = np.concatenate([np.isfinite(X[start : start + AT_ONCE]).all(axis=1) for start in starts])
        if not finite.all():
            images = ", ".join(features.rows.loc[~finite, "image_id"].unique()[:3])
            what = f"{(~finite).sum()} of {len(X)} rows have values that are not finite, first those of {images}"
            raise PipelineError(artifacts.FEATURES / f"{name}.npy", what, "run `dvc repro --force --single-item embed`")


def _check_rows(number: int, table: pd.DataFrame) -> None:
    train, predict = (table["role"] == "train").sum(), table["role"].isin(["val", "test"]).sum()
    if not train or not predict:
        raise PipelineError(
            f"fit, fold {number}",
            f"{train} training rows and {predict} rows to predict have features",
            "see artifacts/quarantine.csv for the images that were set aside",
        )
    other = table.loc[table["natural"] & (table["role"] != "") & (table["class_number"] < 0), "label"]
    if len(other) and not artifacts.label_columns(table):
        what = f"{len(other)} images have labels that are not in it ({', '.join(sorted(set(other))[:3])})"
        raise PipelineError("data.classes", what, "name these classes too, or leave their images out of the labels")


def _refuse_never_learned(found: Sequence[Fold], classes: Sequence[str]) -> None:
    """A class that lacks training rows in some folds is noted there; one that lacks them in all can't be judged."""
    learned = {label for fold in found for label in fold.table["label"].to_numpy()[fold.train]}
    if never := [name for name in classes if name not in learned]:
        what = f"class {', '.join(never)} has no training row in any fold"
        raise PipelineError("fit", what, "leave it out of data.classes, or give the split more patients of it")


def _united(
    number: int, X: np.ndarray, table: pd.DataFrame, classes: Sequence[str], kind: Kind, how: units.Pool
) -> Fold:
    """The fold with a row for each exam or patient, and for each of its augmented views."""
    rows = np.flatnonzero(table["role"] != "")
    images = table.iloc[rows].reset_index(drop=True)
    if kind == "exam" and (unknown := int((images["exam"] == "").sum())):
        what = f"{unknown} of {len(images)} images have neither accession nor study to tell exams by"
        raise PipelineError("fit.unit", what, "use fit.unit: image or patient")
    keys = [images[key].to_numpy() for key in ("group", "exam")[: 1 + (kind == "exam")]]
    whole = units.number(keys)[0]  # with the augmented views, which have the label of their pictures
    unit, first = units.number([whole, images["view"].to_numpy()])
    slots, views = np.zeros(len(rows), int), []
    if how == "side_by_side":
        slots, views = units.slots(images["position"].to_numpy(), (images["role"] == "train").to_numpy())
    pooled = units.pool(X, rows, unit, how, slots)
    joined = images.iloc[first].reset_index(drop=True)
    targets = artifacts.targets(images, classes)
    if targets.ndim == 2:
        marks = units.marks_of(targets, whole)[whole[first]]
        joined[[artifacts.LABEL + name for name in classes]] = marks
        joined["label"] = artifacts.joint_labels(marks, classes)
    else:
        joined["class_number"] = units.class_of(targets, whole, kind)[whole[first]]
    described = {
        "unit": kind,
        "pool": how,
        "units": int(joined["natural"].sum()),
        "images": int(images["natural"].sum()),
    }
    if views:
        lacking = np.isnan(pooled[:, :: X.shape[1]]).sum(axis=0).tolist()
        described["views"] = [
            {"view": view, "filled_with_training_mean": n} for view, n in zip(views, lacking, strict=True)
        ]
    return Fold(number, pooled, joined, described)

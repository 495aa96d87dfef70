"""From the files of the other stages to the rows that the page shows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import LABEL, MISSING, PRESENT, label_columns
from pipeline.report import words

FACTS = ("modality", "transfer_syntax", "photometric", "bits_stored", "rows", "columns", "frames", "burned_in")


def records(frame: pd.DataFrame, **equal: object) -> list[dict[str, Any]]:
    """Rows as dicts: those that have these values in these columns."""
    for name, value in equal.items():
        frame = frame[frame[name] == value]
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records")]


def by_class(index: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The index with a row for each class or label that an image has, its name as `label`, and `others` that it has."""
    if not label_columns(index):
        return index.assign(others="")
    marks = index[[LABEL + name for name in classes]].to_numpy() == PRESENT
    names = np.array(classes, dtype=object)
    parts = [
        index[own].assign(label=name, others=[", ".join(names[row & (names != name)]) for row in marks[own]])
        for name, own in zip(classes, marks.T, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def class_counts(index: pd.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Per class or label that some image has: images, patients, their share, and the largest class over it.

    Of a label that is not known of every image, the share is that of the images where it is, and `missing` the others.
    """
    rows = by_class(index, classes)
    images = Counter(rows["label"])
    patients = Counter(rows[["label", "group"]].drop_duplicates()["label"])
    missing = {name: int((index.get(LABEL + name) == MISSING).sum()) for name in classes if label_columns(index)}
    return [
        {
            "class": name,
            "images": images[name],
            "patients": patients[name],
            "share": images[name] / (len(index) - missing.get(name, 0)),
            "ratio": max(images.values()) / images[name],
            "missing": missing.get(name, 0),
        }
        for name in classes
        if images[name]
    ]


def without_label(index: pd.DataFrame) -> int:
    """Images of which no label is known to be present; a label may itself be called `No Finding`."""
    columns = label_columns(index)
    return int((index[columns].to_numpy() != PRESENT).all(axis=1).sum()) if columns else 0


def facts(index: pd.DataFrame, most: int = 6) -> list[dict[str, str]]:
    """What kind of files these are: name and "value (images), …", the most frequent first."""
    shown = index[list(FACTS)].astype("str").to_dict(orient="list")
    columns = {
        "modality": shown["modality"],
        "transfer syntax": shown["transfer_syntax"],
        "photometric interpretation": shown["photometric"],
        "bits stored": shown["bits_stored"],
        "rows × columns": [" × ".join(pair) for pair in zip(shown["rows"], shown["columns"], strict=True)],
        "frames": shown["frames"],
        "burned-in annotation": shown["burned_in"],
    }
    return [{"name": name, "values": tally(values, most)} for name, values in columns.items() if any(values)]


def tally(values: Sequence[str], most: int = 6) -> str:
    """value (images), …, the most frequent first."""
    counts = Counter(values).most_common()
    shown = [f"{value or 'not given'} ({words.count(times)})" for value, times in counts[:most]]
    return ", ".join(shown) + (f", {len(counts) - most} more" if len(counts) > most else "")


def split_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per fold and role: images, patients, count of each class; the fold's drift stands in its first row."""
    return [
        {
            "fold": fold["fold"],
            "role": role,
            "roles": len(fold["roles"]) if first else 0,
            "drift": fold["worst_drift"],
            "drift_class": fold["worst_class"],
            "images": of["images"],
            "patients": of["patients"],
            "classes": [of["classes"].get(name, 0) for name in summary["classes"]],
        }
        for fold in summary["folds"]
        for first, (role, of) in zip((True, False, False), fold["roles"].items(), strict=False)
    ]


def baselines(arms: pd.DataFrame) -> dict[str, str | None]:
    """From arms.csv, in its order, the baseline of every arm: None where the grid has none."""
    return {row["arm"]: row["baseline"] or None for row in records(arms)}


def arm_rows(
    arms: pd.DataFrame,
    metrics: Mapping[str, Any],
    collapse: Mapping[str, Sequence[Any]],
    rare: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One row per arm, in the order of arms.csv."""
    return [
        {
            "arm": row["arm"],
            "selected": row["arm"] == metrics["selected"],
            "val": metrics["arms"][row["arm"]]["val"],
            "test": metrics["arms"][row["arm"]]["test"],
            "seconds": row["seconds"],
            "collapse": collapse.get(row["arm"], []),
            "rarest": rare[row["arm"]],
        }
        for row in records(arms)
    ]


def rarest(per_class: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By arm, its row of per_class.csv for the class with the fewest test images, if any; of equals the first."""
    rows = records(per_class)
    name = min((row for row in rows if row["n"]), key=lambda row: row["n"])["class"]
    return {row["arm"]: row for row in rows if row["class"] == name}


def gains(comparison: pd.DataFrame, arm: str, reference: str) -> dict[str, dict[str, Any]]:
    """By metric, the comparison of `arm` with `reference`, turned round where the table has it the other way."""
    found = records(comparison, arm=arm, reference=reference)
    turned = [] if found else [_turned(row) for row in records(comparison, arm=reference, reference=arm)]
    return {row["metric"]: row for row in found + turned}


def differences(comparison: pd.DataFrame, pairs: Iterable[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """The comparisons of arms with their references, by metric; an arm without one, or with itself, has no row."""
    return [
        {"arm": arm, "reference": reference, "metrics": metrics}
        for arm, reference in pairs
        if reference and (metrics := gains(comparison, arm, reference))
    ]


def _turned(row: Mapping[str, Any]) -> dict[str, Any]:
    verdict = {"better": "worse", "worse": "better"}.get(row["verdict"], row["verdict"])
    ends = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"], "verdict": verdict}
    chances = {"better": row["worse"], "worse": row["better"]} if "better" in row else {}
    return {**row, **ends, **chances, "arm": row["reference"], "reference": row["arm"]}


def confusion_rows(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the confusion matrix (true × predicted): the counts and their shares of the row."""
    return [
        {
            "class": name,
            "total": sum(row),
            "cells": [{"count": value, "share": value / sum(row) if sum(row) else 0.0} for value in row],
        }
        for name, row in zip(classes, matrix, strict=True)
    ]


def mixed_up(matrix: Sequence[Sequence[int]], classes: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The most frequent confusions: true class, predicted one, images, and their share of the true class."""
    counts = np.array(matrix)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    places = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(place, wrong.shape) for place in places if wrong.flat[place]]
    return [
        {
            "actual": classes[int(true)],
            "predicted": classes[int(other)],
            "count": int(wrong[true, other]),
            "share": float(wrong[true, other] / counts[true].sum()),
        }
        for true, other in pairs
    ]


def label_confusion(matrices: Sequence[Sequence[Sequence[int]]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Per label its 2 × 2 table in a row: images that have it (found, missed) and that do not (false alarm, right)."""
    return [
        {
            "class": name,
            "total": sum(map(sum, matrix)),
            "cells": [
                {"count": value, "share": value / sum(row) if sum(row) else 0.0, "right": right}
                for row, value, right in (
                    (matrix[1], matrix[1][1], True),
                    (matrix[1], matrix[1][0], False),
                    (matrix[0], matrix[0][1], False),
                    (matrix[0], matrix[0][0], True),
                )
            ],
        }
        for name, matrix in zip(classes, matrices, strict=True)
    ]


def fit_warnings(fit: Mapping[str, Any]) -> list[str]:
    """What the resampler and the head of an arm complained about, with its folds."""
    where: dict[str, list[str]] = {}
    for fold in fit["folds"]:
        for warning in fold["warnings"]:
            where.setdefault(warning, []).append(str(fold["fold"]))
    of_folds = [f"fold {', '.join(folds)}: {warning}" for warning, folds in where.items()]
    return of_folds + list(fit.get("warnings", []))


def resampled(fit: Mapping[str, Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Training rows of each class before and after resampling, summed over the folds."""
    before, after = (
        [sum(fold[f"counts_{when}"].get(name, 0) for fold in fit["folds"]) for name in classes]
        for when in ("before", "after")
    )
    return [{"class": name, "before": old, "after": new} for name, old, new in zip(classes, before, after, strict=True)]

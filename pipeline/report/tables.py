"""From the files of the other stages to the rows that the page shows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.report import words


def class_counts(index: pd.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Per class: images, patients, share of the images, and the largest class over it."""
    images = index["label"].value_counts()
    patients = index.groupby("label")["group"].nunique()
    largest = int(images.max())
    return [
        {
            "class": name,
            "images": int(images[name]),
            "patients": int(patients[name]),
            "share": images[name] / len(index),
            "ratio": largest / images[name],
        }
        for name in classes
        if name in images.index
    ]


def facts(index: pd.DataFrame, most: int = 6) -> list[dict[str, str]]:
    """What kind of files these are: name and "value (images), …", the most frequent first."""
    columns = {
        "modality": index["modality"],
        "transfer syntax": index["transfer_syntax"].map(words.transfer_syntax),
        "photometric interpretation": index["photometric"],
        "bits stored": index["bits_stored"].astype(str),
        "rows × columns": index["rows"].astype(str) + " × " + index["columns"].astype(str),
        "frames": index["frames"].astype(str),
        "burned-in annotation": index["burned_in"],
    }
    return [
        {"name": name, "values": _tally(column, most)} for name, column in columns.items() if _telling(column)
    ]


def _telling(column: pd.Series) -> bool:
    return bool((column.fillna("") != "").any())


def _tally(column: pd.Series, most: int) -> str:
    counts = Counter(column.fillna("")).most_common()
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


def arm_rows(
    metrics: Mapping[str, Any],
    select: Sequence[str],
    fits: Mapping[str, Mapping[str, Any]],
    collapse: Mapping[str, Sequence[Any]],
    rare: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One row per arm, the selected one first, the others by the validation key."""
    selected = metrics["selected"]

    def rank(arm: str) -> tuple[Any, ...]:
        val = metrics["arms"][arm]["val"]
        keys = [float("inf") if words.absent(val.get(key)) else -val[key] for key in select]
        return (arm != selected, *keys, arm)

    return [
        {
            "arm": arm,
            "selected": arm == selected,
            "val": metrics["arms"][arm]["val"],
            "test": metrics["arms"][arm]["test"],
            "seconds": sum(fold["seconds_resample"] + fold["seconds_fit"] for fold in fits[arm]["folds"]),
            "collapse": collapse.get(arm, []),
            "rarest": rare[arm],
        }
        for arm in sorted(metrics["arms"], key=rank)
    ]


def rarest(per_class: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By arm, its row of per_class.csv for the class with the fewest test images; of equals the first."""
    name = per_class.loc[per_class["n"].idxmin(), "class"]
    return {row["arm"]: row for row in per_class[per_class["class"] == name].to_dict("records")}


def baseline_of(comparison: pd.DataFrame, selected: str) -> str | None:
    """The arm without mitigation that others are compared with; may be the selected one, None without any."""
    references = list(dict.fromkeys(comparison["reference"]))
    others = [name for name in references if name != selected]
    return others[0] if others else (references[0] if references else None)


def differences(comparison: pd.DataFrame, reference: str, arms: Sequence[str]) -> list[dict[str, Any]]:
    """Per arm, in the order of `arms`: its rows of comparison.csv against `reference`, by metric."""
    against = comparison[comparison["reference"] == reference]
    return [
        {"arm": arm, "metrics": {row["metric"]: row for row in rows}}
        for arm in arms
        if (rows := against[against["arm"] == arm].to_dict("records"))
    ]


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


def collapse_line(clause: Mapping[str, Any]) -> str:
    """A clause that fired, its figure and its threshold."""
    of = f" of class {clause['class']}" if clause.get("class") else ""
    return f"{clause['clause']}{of}: {words.number(clause['value'])} (threshold {words.number(clause['threshold'])})"


def fit_warnings(fit: Mapping[str, Any]) -> list[str]:
    """What the resampler and the head of an arm complained about, with its folds."""
    where: dict[str, list[str]] = {}
    for fold in fit["folds"]:
        for warning in fold["warnings"]:
            where.setdefault(warning, []).append(str(fold["fold"]))
    return [f"fold {', '.join(folds)}: {warning}" for warning, folds in where.items()]


def resampled(fit: Mapping[str, Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Training rows of each class before and after resampling, summed over the folds."""
    before, after = (
        [sum(fold[f"counts_{when}"].get(name, 0) for fold in fit["folds"]) for name in classes]
        for when in ("before", "after")
    )
    return [
        {"class": name, "before": old, "after": new}
        for name, old, new in zip(classes, before, after, strict=True)
    ]


def quarantine_counts(quarantine: pd.DataFrame) -> list[dict[str, Any]]:
    """Files per stage and reason, the most frequent first."""
    counts = quarantine.groupby(["stage", "reason"]).size().sort_values(ascending=False, kind="stable")
    return [
        {"stage": stage, "reason": reason, "files": int(files)} for (stage, reason), files in counts.items()
    ]


def without_root(quarantine: pd.DataFrame, root: str) -> pd.DataFrame:
    """The same rows with paths relative to the image folder, since the folders above it may name people."""
    prefix = root.rstrip("/") + "/"
    return quarantine.apply(lambda column: column.str.replace(prefix, "", regex=False))


def package_versions(manifests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Version of every package that a manifest names; several where the stages differ."""
    found: dict[str, set[str]] = {}
    for packages in _named(manifests, "packages"):
        for name, version in packages.items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _named(value: Any, key: str) -> Iterator[Mapping[str, str]]:
    if isinstance(value, Mapping):
        if isinstance(value.get(key), Mapping):
            yield value[key]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _named(item, key)

"""Other decisions than the most probable class, failed arms and searches, as the page shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import tables, words

MOST_WEIGHTS = 8  # numbers of one rule that are shown


def leading(arms: pd.DataFrame) -> list[str]:
    """Of arms.csv, in its order, the arms and of the decisions that stand above their arm the best."""
    return [row["arm"] for row in tables.records(arms, leading="True")]


def arm_of(arms: pd.DataFrame) -> dict[str, str]:
    """The name without its decision, by name."""
    return {row["arm"]: row["of"] for row in tables.records(arms)}


def moved_baseline(arms: pd.DataFrame, selected: str) -> str | None:
    """The best decision on validation of the selected arm's baseline; None where that is argmax or the selected one."""
    rows = tables.records(arms)
    baseline = next(row["baseline"] for row in rows if row["arm"] == selected)
    best = next((row for row in rows if row["of"] == baseline and baseline), None)
    return best["arm"] if best and best["decision"] and best["arm"] != selected else None


def operating_points(
    arms: pd.DataFrame, metrics: Mapping[str, Any], rare: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Decisions in columns, in the order of metrics.json, and arms in rows, the best on validation first.

    Args:
        arms: arms.csv.
        metrics: metrics.json.
        rare: row of per_class.csv for the rarest class by name.
    """
    rows = tables.records(arms)
    names = {(row["of"], row["decision"]): row["arm"] for row in rows}
    decision = {row["arm"]: row["decision"] for row in rows}
    columns = list(dict.fromkeys(decision[name] for name in metrics["arms"] if decision[name]))
    return {
        "decisions": columns,
        "rows": [
            {"arm": arm, "cells": {column: _cell(names.get((arm, column)), metrics, rare) for column in ["", *columns]}}
            for arm in dict.fromkeys(row["of"] for row in rows)
        ],
    }


def _cell(name: str | None, metrics: Mapping[str, Any], rare: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    if name is None:
        return None
    both = metrics["arms"][name]
    return {
        "selected": name == metrics["selected"],
        "val": both["val"],
        "test": both["test"],
        "ratio": rare[name]["prevalence_ratio"],
    }


def rejection(rejected: pd.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of reject.csv, with the shares of `classes` in their order."""
    return [{**row, "rejected": [row[f"rejected_{name}"] for name in classes]} for row in tables.records(rejected)]


def searches(fits: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each search among lists of values chose, how well that did and what it cost."""
    return [
        _search(arm, fold["fold"], record)
        for arm, fit in fits.items()
        for fold in fit["folds"]
        for record in fold.get("searched", [])
    ]


def _search(arm: str, fold: int, record: Mapping[str, Any]) -> dict[str, Any]:
    chosen = next((one for one in record["candidates"] if one["values"] == record["chosen"]), {})
    values = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in record["chosen"].items())
    within = [record[key] for key in ("arm", "label") if key in record]
    return {
        "arm": " · ".join([arm, *within]),
        "fold": fold,
        "chosen": values,
        "metric": record["metric"],
        "score": chosen.get("score"),
        "spread": chosen.get("spread"),
        "candidates": len(record["candidates"]),
        "fits": record["fits"],
        "seconds": record["seconds"],
    }


def fitted(decisions: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """What the decision of this name came to in each fold, in words; none for an arm without one."""
    return [
        {"fold": fold, "words": "; ".join(filter(None, (_words(both[part], decisions["classes"]) for part in both)))}
        for fold, both in decisions["variants"].get(name, {}).items()
    ]


def _words(part: Mapping[str, Any], classes: Sequence[str]) -> str:
    kind = part["kind"]
    if kind == "Scaled" and not np.any(part["offset"]):
        return f"temperature {words.number(1 / np.ravel(part['scale'])[0])}"
    if kind == "Weights":
        return "" if len(set(part["weights"])) == 1 else f"weights {_each(part['weights'], classes)}"
    if kind == "Thresholds":
        return f"thresholds {_each(part['thresholds'], classes)}"
    if kind == "Cut":
        return f"{classes[part['number']]} from {part['threshold']:.3g} on"
    if kind == "Ratios":
        return f"prior times {_each(part['ratios'], classes)}"
    plain = {"Unchanged": "", "Cheapest": "least expected cost", "PerLabel": "each label on its own"}
    return plain.get(kind, kind.lower())


def _each(values: Sequence[float], classes: Sequence[str]) -> str:
    shown = [f"{name} {value:.3g}" for name, value in zip(classes, values, strict=True)][:MOST_WEIGHTS]
    return ", ".join(shown) + (f", {len(values) - len(shown)} more" if len(values) > len(shown) else "")

"""Curves of each class: ROC, precision-recall, reliability, net benefit; and how well probabilities are calibrated."""

from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report import plots, tables, words
from pipeline.report.results import Results

SHOWN = 4  # classes whose curves are shown without a click, the rarest first
DRAWN = 60  # classes whose curves are on the page at all: about 20 kB each


def of(results: Results) -> dict[str, Any]:
    """Panels by class, the rarest first, and the calibration table."""
    rows = {row["class"]: row for row in results.counted}
    drawn = [row["class"] for row in sorted(rows.values(), key=lambda row: row["n"]) if row["n"]]
    panels = {name: panels_of(results, name, rows[name]) for name in drawn[:DRAWN]}
    found = [(name, figures) for name, figures in panels.items() if figures]
    return {
        "panels": found[:SHOWN],
        "more_panels": found[SHOWN:],
        "not_drawn": len(drawn[DRAWN:]),
        "banded": "low" in results.roc,
        "plain": results.plain,
        "calibration": tables.records(results.calibration, arm=results.own_probabilities),
        "calibration_plain": tables.records(results.calibration, arm=results.plain) if results.plain else [],
        "every_calibration": [
            row
            for row in tables.records(results.calibration)
            if row["arm"] in results.leading and row["class"] in drawn[:SHOWN]
        ],
    }


def panels_of(results: Results, name: str, row: dict[str, Any]) -> list[tuple[str, str, Markup]]:
    """Title, figure in numbers and drawing of each curve that there is of a class."""
    bins = _of(results.reliability, name)
    own = bins[bins["arm"] == results.selected] if len(bins) else bins
    other = bins[bins["arm"] != results.selected] if len(bins) else bins
    calibrated = next(iter(tables.records(results.calibration, arm=results.own_probabilities, **{"class": name})), {})
    slope = words.number(calibrated.get("slope"))
    drawn = [
        ("ROC", f"AUC {words.estimate(row, 'auc')}", _of(results.roc, name), plots.roc),
        (
            "Precision-recall",
            f"AP {words.estimate(row, 'average_precision')}",
            _of(results.pr, name),
            lambda points, name: plots.precision_recall(points, name, row["n"] / max(row["rows"], 1)),
        ),
        ("Reliability", f"slope {slope}", own, lambda points, name: plots.reliability(points, other, name)),
        ("Net benefit", "", _of(results.net_benefit, name), plots.net_benefit),
    ]
    return [(title, figure, draw(points, name)) for title, figure, points, draw in drawn if len(points)]


def _of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["class"] == name] if len(table) else table

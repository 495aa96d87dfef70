"""Classes as the selected arm sees them: confusion, figures of each, merged classes and parts of the images."""

from collections.abc import Sequence
from typing import Any

from pipeline.report import sentences, tables
from pipeline.report.forest import Scale
from pipeline.report.results import Results

WIDEST = 30  # classes of a confusion matrix that is shown whole
MIXED_UP = 30  # pairs that stand for a larger one


def of(results: Results) -> dict[str, Any]:
    """The confusion matrix or its largest errors, rows per class, grouped views and subgroups."""
    matrix, classes = results.confusion[results.selected], results.confusion["classes"]
    several = results.task == "multilabel"
    whole = several or len(classes) <= WIDEST
    return {
        "confusion": (tables.label_confusion if several else tables.confusion_rows)(matrix, classes) if whole else [],
        "mixed_up": [] if whole else tables.mixed_up(matrix, classes, MIXED_UP),
        "per_class": results.counted,
        "few": sentences.few([row for row in results.counted if row["few"] == "True" and row["n"]]),
        "views": views(results),
        "parts": parts(results),
    }


def views(results: Results) -> list[dict[str, Any]]:
    """Per grouped view, the figures of each leading arm."""
    rows = tables.records(results.groups)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    return [
        {
            "name": view,
            "metrics": metrics,
            "arms": [
                {"arm": arm, "figures": figures}
                for arm in results.leading
                if (figures := _figures([row for row in rows if (row["view"], row["arm"]) == (view, arm)], "value"))
            ],
        }
        for view in dict.fromkeys(row["view"] for row in rows)
    ]


def _figures(rows: Sequence[dict[str, Any]], value: str) -> dict[str, Any]:
    """`macro_f1`, `macro_f1_low`, … of rows with one metric each."""
    ends = {"": value, "_low": "low", "_high": "high"}
    return {f"{row['metric']}{end}": row[name] for row in rows for end, name in ends.items()}


def parts(results: Results) -> list[dict[str, Any]]:
    """Per column, the selected arm's figures on the test images of each of its values, the first metric drawn."""
    rows = tables.records(results.subgroups)
    found = []
    for column in dict.fromkeys(row["column"] for row in rows):
        mine = [row for row in rows if row["column"] == column]
        metrics = list(dict.fromkeys(row["metric"] for row in mine if row["metric"]))
        values = [_part([row for row in mine if row["value"] == value]) for value in _values(mine)]
        first = metrics[0] if metrics else ""
        scale = Scale.over(values, first)
        for value in values:
            value["drawn"] = scale.interval(value, first)
        found.append({"column": column, "metrics": metrics, "axis": scale.axis(), "values": values})
    return found


def _values(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["value"] for row in rows))


def _part(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = {key: rows[0][key] for key in ("value", "n", "patients", "events")}
    return {**counts, **_figures(rows, "figure")}

"""Arms by decisions: every figure of every arm, and what decisions and searches chose."""

from typing import Any

from pipeline.report import decisions, tables
from pipeline.report.results import Results


def of(results: Results) -> dict[str, Any]:
    """Rows of the tables of arms."""
    selected, leading = results.selected, results.leading
    of_arm = decisions.arm_of(results.arms)
    rows = tables.arm_rows(results.arms, results.metrics, results.collapse, results.rarest)
    return {
        "arms": [row for row in rows if row["arm"] in leading],
        "every_arm": rows if len(rows) > len(leading) else [],
        "folds": results.metrics["arms"][selected]["folds"],
        "resampled": tables.resampled(results.fits[of_arm[selected]], results.classes),
        "failed": results.notes["failed"],
        "unproven": results.notes["unproven"],
        "points": decisions.operating_points(results.arms, results.metrics, results.rarest),
        "fitted": decisions.fitted(results.decisions, selected),
        "searches": decisions.searches(results.fits),
    }

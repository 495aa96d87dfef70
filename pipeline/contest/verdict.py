"""Files that say who won and by how much."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import artifacts
from pipeline.contest.standing import Standing
from pipeline.judge import comparison


def files(
    standing: Standing, failed: Mapping[str, Any], confidence: float
) -> dict[Path, pd.DataFrame | dict[str, Any]]:
    """metrics.json, comparison.csv and notes.json."""
    figures = {name: one.figures for name, one in standing.judged.items()}
    notes = {"comparison": comparison.note(confidence), "failed": failed, "unproven": sorted(standing.unproven)}
    return {
        artifacts.METRICS: {"selected": standing.selected, "arms": figures},
        artifacts.COMPARISON: compared(standing, confidence),
        artifacts.EVALUATION / "notes.json": notes,
    }


def compared(standing: Standing, confidence: float) -> pd.DataFrame:
    """All are compared with the selected one and with their baseline.

    Arms, and the selected one, also with the decision of their baseline that is best on validation, since resampling
    moves the operating point more than anything else.
    """
    ranked, of, baselines, best = standing.ranked, standing.of, standing.baselines, standing.best
    pairs = [(name, standing.selected) for name in ranked] + [(name, baselines[name]) for name in ranked]
    pairs += [(name, best.get(baselines[name], "")) for name in ranked if name in (of[name].arm, standing.selected)]
    return comparison.compare(
        {name: one.figures["test"] for name, one in standing.judged.items()},
        {name: one.draws for name, one in standing.judged.items()},
        dict.fromkeys((name, other) for name, other in pairs if other in standing.judged and name != other),
        confidence,
    )

"""Files that say who won and by how much."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import artifacts
from pipeline.contest.entries import Entries
from pipeline.contest.standing import Standing
from pipeline.judge import classwise, comparison, folds, ranks
from pipeline.judge.arms import rounded
from pipeline.judge.comparison import Pair, Terms
from pipeline.params import Evaluate

SUMMED = ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc", "ece")


def files(standing: Standing, entered: Entries, how: Evaluate) -> dict[Path, pd.DataFrame | dict[str, Any]]:
    """metrics.json, summary.json, comparison.csv, ranks.json and notes.json."""
    figures = {name: one.figures for name, one in standing.judged.items()}
    on = Terms(how.confidence, how.rope, entered.ratio)
    notes = {
        "comparison": comparison.note(on),
        "failed": entered.failed,
        "unproven": sorted(standing.unproven),
        "unit": entered.unit,
    }
    return {
        artifacts.METRICS: {"selected": standing.selected, "arms": figures},
        artifacts.SUMMARY: summary(standing),
        artifacts.COMPARISON: comparison.compare(standing.judged, families(standing), on),
        artifacts.EVALUATION / "ranks.json": ranked(standing, how.confidence),
        artifacts.EVALUATION / "notes.json": notes,
    }


def summary(standing: Standing) -> dict[str, Any]:
    """A few test figures of the selected one, as many as `dvc metrics show` and `dvc exp show` have room for."""
    one = standing.judged[standing.selected]
    return {
        "selected": standing.selected,
        **{name: one.figures["test"][name] for name in SUMMED},
        "rarest_recall": rounded(float(one.classwise["recall"][classwise.rarest(one.classwise["n"])])),
    }


def families(standing: Standing) -> dict[str, list[Pair]]:
    """The leading ones against the selected one and against their baseline, by kind of reference.

    Arms, and the selected one, also against the decision of their baseline that is best on validation, since
    resampling moves the operating point more than anything else.
    """
    of, judged, best = standing.of, standing.judged, standing.best
    chosen = standing.selected
    references = {name: standing.baselines[name] for name in standing.leading if standing.baselines[name] in judged}
    moved = [(name, best[plain], plain) for name, plain in references.items() if name in (of[name].arm, chosen)]
    return {
        "selected": [(name, chosen) for name in standing.leading if name != chosen],
        "baseline": [(name, plain) for name, plain in references.items() if name != plain],
        "moved": [(name, to) for name, to, plain in moved if len({name, to, plain}) == 3],
    }


def ranked(standing: Standing, confidence: float) -> dict[str, Any]:
    """Mean ranks of the leading ones over folds, as `ranks.table` gives them."""
    by_fold = {
        metric: {name: folds.figures(standing.judged[name].figures["folds"], metric) for name in standing.leading}
        for metric in comparison.COMPARED
    }
    return ranks.table(by_fold, confidence)

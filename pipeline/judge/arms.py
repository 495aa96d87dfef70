"""All that is said of one arm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.judge import intervals, metrics
from pipeline.judge.metrics import Kappa
from pipeline.judge.tally import Multilabel, Predictions, predictions

WITH_INTERVAL = ("recall", "f1")  # of the figures per class
BIASED = ("ece",)  # noise in the frequency of a bin only adds to it (Roelofs et al. 2022, arXiv:2012.08668)


@dataclass(frozen=True)
class Rows:
    """The rows of one role, over all folds; a row that is in several folds is there several times."""

    predictions: Predictions | Multilabel
    folds: np.ndarray  # (n,) int
    patients: np.ndarray  # (n,) int, as `intervals.codes` gives them

    def of_fold(self, fold: int) -> Predictions | Multilabel:
        """Predictions of one fold."""
        here, of = self.folds == fold, self.predictions
        decided = None if of.decided is None else of.decided[here]
        return predictions(of.labels[here], of.probabilities[here], decided)


@dataclass(frozen=True)
class Judged:
    """Figures of one arm.

    Attributes:
        figures: val, test (with <name>_low and <name>_high) and folds, by name.
        classwise: columns of a table with one row per class, on test.
        draws: (draws,) float64 by name, on test.
    """

    figures: dict[str, Any]
    classwise: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]


def judge(
    val: Rows, test: Rows, kappa: Kappa, draws: int, confidence: float, seed: int, like: Judged | None = None
) -> Judged:
    """Figures pooled over folds, those of test with intervals over patients, and those of each fold.

    `like` is the judgement of the same test probabilities with other decisions: draws of figures that do not depend on
    decisions are taken from it, since the same seed would give the same ones.
    """
    wanted = metrics.registry(kappa) | {name: metrics.CLASSWISE[name] for name in WITH_INTERVAL}
    known = {} if like is None else {name: like.draws[name] for name in metrics.METRICS if name not in metrics.DECIDED}
    missing = {name: metric for name, metric in wanted.items() if name not in known}
    drawn = known | intervals.bootstrap(test.predictions, test.patients, missing, draws, seed)
    ends = {name: intervals.percentiles(values, confidence) for name, values in drawn.items()}
    scored = _scores(test.predictions, kappa)
    ends |= {name: intervals.centred(drawn[name], scored[name], confidence) for name in BIASED}
    low_high = {f"{name}{end}": float(ends[name][i]) for name in metrics.METRICS for i, end in _ENDS}
    figures = {
        "val": _scores(val.predictions, kappa),
        "test": scored | {name: rounded(value) for name, value in low_high.items()},
        "folds": {
            str(fold): {
                "val": _scores(val.of_fold(fold), kappa),
                "test": _scores(test.of_fold(fold), kappa),
            }
            for fold in np.unique(test.folds)
        },
    }
    return Judged(figures, _classwise(test, ends), {name: drawn[name] for name in metrics.METRICS})


def is_better(one: Rows, other: Rows, name: str, kappa: Kappa, draws: int, confidence: float, seed: int) -> bool:
    """Whether a figure of the same rows is higher by more than chance: the paired interval over patients is above 0."""
    wanted = {name: metrics.registry(kappa)[name]}
    each = [intervals.bootstrap(of.predictions, of.patients, wanted, draws, seed)[name] for of in (one, other)]
    return bool(intervals.percentiles(each[0] - each[1], confidence)[0] > 0)


def rounded(value: float) -> float:
    """Six digits: figures are kept in git, and the last bits of a sum differ between machines."""
    return float(f"{value:.6g}")


def _scores(given: Predictions | Multilabel, kappa: Kappa) -> dict[str, float]:
    return {name: rounded(float(value)) for name, value in metrics.point(given, metrics.registry(kappa)).items()}


def _classwise(test: Rows, ends: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    present = test.predictions.present
    columns = {
        "n": present.sum(axis=0),
        "rows": test.predictions.known.sum(axis=0),
        "patients": np.array([len(np.unique(test.patients[own])) for own in present.T]),
        "predicted": test.predictions.chosen.sum(axis=0),
    }
    for name, values in metrics.point(test.predictions, metrics.CLASSWISE).items():
        columns[name] = values
        if name in WITH_INTERVAL:
            columns |= {f"{name}{end}": ends[name][i] for i, end in _ENDS}
    return columns


_ENDS = ((0, "_low"), (1, "_high"))

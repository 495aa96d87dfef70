"""All that is said of one arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pipeline.judge import classwise, intervals, means, metrics
from pipeline.judge.means import OF_CLASS
from pipeline.judge.metrics import Kappa, Metric
from pipeline.judge.tally import Multilabel, Predictions, predictions

BIASED = ("ece",)  # noise in the frequency of a bin only adds to it (Roelofs et al. 2022, arXiv:2012.08668)

Interval = Literal["percentile", "bca"]


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
        figures: val, test (with <name>_low and <name>_high) and folds, by name; and of the class with the fewest
            patients in test, on which means over classes lean as much as on any other, its rows and patients (rarest).
        classwise: columns of a table with one row per class, on test.
        draws: (draws,) float64 by name, on test; of OF_CLASS + name (draws, K).
        patients: in test.
        left_out: as draws, of the jackknife (`intervals.jackknife`); empty where intervals are percentiles.
    """

    figures: dict[str, Any]
    classwise: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]
    patients: int
    left_out: dict[str, np.ndarray] = field(default_factory=dict)


def judge(
    val: Rows,
    test: Rows,
    kappa: Kappa,
    draws: int,
    confidence: float,
    seed: int,
    like: Judged | None = None,
    interval: Interval = "percentile",
) -> Judged:
    """Figures pooled over folds, those of test with intervals over patients, and those of each fold.

    `like` is the judgement of the same test probabilities with other decisions: draws of figures that do not depend on
    decisions are taken from it, since the same seed would give the same ones.
    """
    wanted = metrics.registry(kappa) | {OF_CLASS + name: metric for name, metric in metrics.CLASSWISE.items()}
    drawn, left_out = _draws(test, wanted, draws, seed, interval, like)
    point = metrics.point(test.predictions, wanted)
    table = classwise.table(
        test.predictions, test.patients, _of_class(point), _of_class(drawn), _of_class(left_out), confidence
    )
    everyone = len(np.unique(test.patients))
    ends = {
        name: intervals.ends(
            drawn[name],
            point[name],
            left_out.get(name),
            confidence,
            means.rests_on(name, drawn, table["patients"], everyone),
        )
        for name in metrics.METRICS
    }
    ends |= {name: intervals.centred(drawn[name], float(point[name]), confidence) for name in BIASED}
    low_high = {f"{name}{end}": ends[name][i] for name in metrics.METRICS for i, end in ((0, "_low"), (1, "_high"))}
    figures = {
        "val": _scores(val.predictions, kappa),
        "test": {name: rounded(value) for name, value in (point | low_high).items() if OF_CLASS not in name},
        "folds": {
            str(fold): {
                "val": _scores(val.of_fold(fold), kappa),
                "test": _scores(test.of_fold(fold), kappa),
            }
            for fold in np.unique(test.folds)
        },
        "rarest": _rarest(table),
    }
    return Judged(figures, table, drawn, everyone, left_out)


def is_better(one: Rows, other: Rows, name: str, kappa: Kappa, draws: int, confidence: float, seed: int) -> bool:
    """Whether a figure of the same rows is higher by more than chance: the paired interval over patients is above 0."""
    wanted = {name: metrics.registry(kappa)[name]}
    each = [intervals.bootstrap(of.predictions, of.patients, wanted, draws, seed)[name] for of in (one, other)]
    return bool(intervals.percentiles(each[0] - each[1], confidence)[0] > 0)


def rounded(value: float | np.ndarray) -> float:
    """Six digits: figures are kept in git, and the last bits of a sum differ between machines."""
    return float(f"{value:.6g}")


def _draws(
    test: Rows, wanted: Mapping[str, Metric], draws: int, seed: int, interval: Interval, like: Judged | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Figures of every draw and, for BCa, of every jackknife sample, by name."""
    known, known_left = ({}, {}) if like is None else (_undecided(like.draws), _undecided(like.left_out))
    missing = {name: metric for name, metric in wanted.items() if name not in known}
    drawn = known | intervals.bootstrap(test.predictions, test.patients, missing, draws, seed)
    if interval == "bca":
        known_left |= intervals.jackknife(test.predictions, test.patients, missing)
    return {name: drawn[name] for name in wanted}, {name: known_left[name] for name in wanted if name in known_left}


def _undecided(draws: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those that do not depend on decisions."""
    areas = {OF_CLASS + name for name in classwise.AREAS}
    free = areas | set(metrics.METRICS) - set(metrics.DECIDED)
    return {name: values for name, values in draws.items() if name in free}


def _of_class(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(OF_CLASS): one for name, one in values.items() if name.startswith(OF_CLASS)}


def _rarest(table: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Rows and patients of the class that fewest patients have, among those that any has."""
    patients, rows = (table[column][table["n"] > 0] for column in ("patients", "n"))
    least = int(np.argmin(patients))
    return {"rows": int(rows[least]), "patients": int(patients[least])}


def _scores(given: Predictions | Multilabel, kappa: Kappa) -> dict[str, float]:
    return {name: rounded(value) for name, value in metrics.point(given, metrics.registry(kappa)).items()}

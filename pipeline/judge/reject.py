"""What is gained by leaving the least certain decisions to a person (Chow 1970, doi:10.1109/TIT.1970.1054406)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.judge.metrics import Kappa, point, registry
from pipeline.judge.tally import Multilabel, Predictions, predictions

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
FIGURES = ("macro_f1", "balanced_accuracy_adjusted")


@dataclass(frozen=True)
class Certain:
    """Decisions of one role with their certainty: of each row (n,), or of each label of it (n, L)."""

    predictions: Predictions | Multilabel
    certainty: np.ndarray
    folds: np.ndarray  # (n,) int


def table(val: Certain, test: Certain, names: Sequence[str], kappa: Kappa, coverages: Sequence[float]) -> pd.DataFrame:
    """Risk by coverage on test, where the least certainty that is answered was fitted on validation, fold by fold.

    Args:
        val: validation rows.
        test: test rows of the same folds.
        names: of the classes or labels.
        kappa: weighting.
        coverages: shares of the validation decisions to be answered.

    Returns:
        coverage asked for; answered, the share of the test decisions; risk, the share of these that is wrong;
        macro_f1 and balanced_accuracy_adjusted of what is answered; rejected_<name>, the share of the test rows of
        each class, or of those that have each label, that is not.
    """
    return pd.DataFrame([_row(val, test, names, kappa, coverage) for coverage in coverages])


def _row(val: Certain, test: Certain, names: Sequence[str], kappa: Kappa, coverage: float) -> dict[str, float]:
    answered = np.zeros(test.certainty.shape, bool)
    for fold in np.unique(test.folds):
        here = test.folds == fold
        answered[here] = test.certainty[here] >= least(_known(val, val.folds == fold), coverage)
    given = test.predictions
    asked, present = _asked(given), given.present
    wrong = given.chosen != present if isinstance(given, Multilabel) else given.predicted != given.labels
    kept = answered & asked
    figures = point(_without(given, ~answered), {name: registry(kappa)[name] for name in FIGURES})
    refused = present & ~(answered if answered.ndim == 2 else answered[:, None])
    rows = present.sum(axis=0)
    shares = np.divide(refused.sum(axis=0), rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return {
        "coverage": coverage,
        "answered": kept.sum() / max(asked.sum(), 1),
        "risk": wrong[kept].mean() if kept.any() else np.nan,
        **{name: float(value) for name, value in figures.items()},
        **{f"rejected_{name}": float(share) for name, share in zip(names, shares, strict=True)},
    }


def least(certainty: np.ndarray, coverage: float) -> float:
    """The highest threshold that at least this share of the values reaches; of none, one that every value reaches."""
    if not len(certainty):
        return -np.inf
    reached = int(np.ceil(coverage * len(certainty) - 1e-9))
    return -np.inf if reached == len(certainty) else float(np.sort(certainty)[len(certainty) - reached])


def _asked(given: Predictions | Multilabel) -> np.ndarray:
    return given.known if isinstance(given, Multilabel) else np.ones(len(given.labels), bool)


def _known(of: Certain, rows: np.ndarray) -> np.ndarray:
    """Certainty of the decisions in these rows, of labels of those that are known, (m,)."""
    return of.certainty[rows][_asked(of.predictions)[rows]]


def _without(given: Predictions | Multilabel, refused: np.ndarray) -> Predictions | Multilabel:
    decided = given.decided
    if isinstance(given, Multilabel):
        return Multilabel(np.where(refused, -1, given.labels), given.probabilities, decided)
    kept = ~refused
    return predictions(given.labels[kept], given.probabilities[kept], None if decided is None else decided[kept])

"""Signs that a classifier has given up on classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.judge.metrics import Kappa, f1, point, registry
from pipeline.judge.tally import Multilabel, Predictions, predictions

# Rules of thumb, not tests: a figure past one of them asks for a look at the confusion matrix.
MOST_IN_ONE_CLASS = 0.95  # share of the predictions
LEAST_OF_OTHERS = 0.1  # of the rows of all other classes; an arm that predicts them less often is constant
LEAST_CLASS_F1 = 0.10
LEAST = {
    "balanced_accuracy_adjusted": 0.3,
    "kappa": 0.2,  # where "slight" agreement ends (Landis & Koch 1977, doi:10.2307/2529310)
    "macro_f1": 0.15,
}


def flags(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], kappa: Kappa = "quadratic"
) -> list[dict[str, Any]]:
    """`fired` at the operating point argmax, or 0.5 of each label.

    Args:
        labels: (n,) int, 0 … K-1; or (n, L) int8, 1 present, 0 absent, -1 missing.
        probabilities: (n, K) float; or (n, L) float, of each label.
        names: of the classes or labels.
        kappa: its weighting.
    """
    return fired(predictions(labels, probabilities), names, kappa, "argmax" if labels.ndim == 1 else "0.5")


def fired(given: Predictions | Multilabel, names: Sequence[str], kappa: Kappa, at: str) -> list[dict[str, Any]]:
    """The clauses that fire; none for a sound classifier.

    Args:
        given: predictions.
        names: of the classes or labels. One without rows can't be neglected, and fires nothing.
        kappa: its weighting.
        at: name of the operating point.

    Returns:
        One dict per clause: clause, value, threshold, operating_point, and class where it names one.
    """
    figures = point(given, {"f1": f1} | {name: registry(kappa)[name] for name in LEAST})
    present, chosen = given.present.sum(axis=0), given.chosen.sum(axis=0)  # (K,) rows
    always = "one_class" if isinstance(given, Predictions) else "always_predicted"
    rows, there = given.known.sum(axis=0), np.flatnonzero(present).tolist()
    found = [
        _clause(always, share, limit, name)
        for name, share, limit in zip(names, *_most(present, chosen, rows), strict=True)
        if share > limit
    ]
    found += [_clause("never_predicted", 0, 1, names[number]) for number in there if not chosen[number]]
    found += [_clause(name, float(figures[name]), least) for name, least in LEAST.items() if figures[name] < least]
    found += [
        _clause("class_f1", figures["f1"][number], LEAST_CLASS_F1, names[number])
        for number in there
        if figures["f1"][number] < LEAST_CLASS_F1
    ]
    return [{**clause, "operating_point": at} for clause in found]


def is_constant(given: Predictions | Multilabel) -> bool:
    """Whether nearly every row gets the same answer: the same class, or to every label the same yes or no.

    It takes more than the clause `one_class`, which asks for a look: the other classes, or a rare label, must be
    predicted less than LEAST_OF_OTHERS times as often as they are there. An arm that finds a third of them tries.
    """
    if isinstance(given, Multilabel):
        return all(is_constant(of) for _, of in given.each if len(of.labels))
    rows = max(len(given.labels), 1)
    others = LEAST_OF_OTHERS * (1 - given.present.sum(axis=0) / rows)
    return bool((given.chosen.sum(axis=0) / rows > np.maximum(MOST_IN_ONE_CLASS, 1 - others)).any())


def _most(present: np.ndarray, chosen: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the rows of which each class is predicted, and the share that is too much, twice (K,).

    Of a class that has more than nine rows of ten, too much is what leaves the others less than half of their own.
    """
    rows = np.maximum(rows, 1)
    return chosen / rows, np.maximum(MOST_IN_ONE_CLASS, (1 + present / rows) / 2)


def _clause(clause: str, value: float, threshold: float, of_class: str | None = None) -> dict[str, Any]:
    found = {"clause": clause, "value": float(value), "threshold": float(threshold)}
    return found if of_class is None else {**found, "class": of_class}

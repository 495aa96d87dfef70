"""Signs that a classifier has given up on classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.judge.metrics import Kappa, f1, registry
from pipeline.judge.tally import Predictions, Tally

# Rules of thumb, not tests: a figure past one of them asks for a look at the confusion matrix.
MOST_IN_ONE_CLASS = 0.95  # share of the predictions
LEAST_CLASS_F1 = 0.10
LEAST = {
    "balanced_accuracy_adjusted": 0.3,
    "kappa": 0.2,  # where "slight" agreement ends (Landis & Koch 1977, doi:10.2307/2529310)
    "macro_f1": 0.15,
}


def flags(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], kappa: Kappa = "quadratic"
) -> list[dict[str, Any]]:
    """The clauses that fire at the operating point argmax; none for a sound classifier.

    Args:
        labels: (n,) int, 0 … K-1.
        probabilities: (n, K) float.
        names: of the K classes. A class without rows can't be neglected, and fires nothing.
        kappa: its weighting.

    Returns:
        One dict per clause: clause, value, threshold, operating_point, and class where it names one.
    """
    predictions = Predictions(labels, probabilities)
    tally = Tally(predictions, np.ones((len(labels), 1)))
    predicted = tally.confusion[0].sum(axis=0)  # (K,) rows predicted as each class
    top = int(predicted.argmax())
    present = np.flatnonzero(np.bincount(labels, minlength=len(names))).tolist()
    found = []
    if (share := predicted[top] / len(labels)) > MOST_IN_ONE_CLASS:
        found.append(_clause("one_class", share, MOST_IN_ONE_CLASS, names[top]))
    found += [_clause("never_predicted", 0, 1, names[number]) for number in present if predicted[number] == 0]
    for name, least in LEAST.items():
        if (value := registry(kappa)[name](tally)[0]) < least:
            found.append(_clause(name, value, least))
    of_class = f1(tally)[0]
    found += [
        _clause("class_f1", of_class[number], LEAST_CLASS_F1, names[number])
        for number in present
        if of_class[number] < LEAST_CLASS_F1
    ]
    return found


def is_constant(probabilities: np.ndarray) -> bool:
    """Whether nearly every row of probabilities (n, K) gets the same class."""
    return float(np.bincount(probabilities.argmax(axis=1)).max()) > MOST_IN_ONE_CLASS * len(probabilities)


def _clause(clause: str, value: float, threshold: float, of_class: str | None = None) -> dict[str, Any]:
    found = {"clause": clause, "value": float(value), "threshold": threshold, "operating_point": "argmax"}
    return found if of_class is None else {**found, "class": of_class}

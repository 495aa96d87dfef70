"""Arms made of other arms: a vote, and a stack."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.heads.cases import Cases
from pipeline.heads.fitting import Fitted, Model, predict
from pipeline.heads.search import inner_folds

LEAST = 1e-6  # a probability of 0 has no logarithm

Fit = Callable[[np.ndarray, tuple[int, ...]], Fitted]
"""Learns an arm: (positions of training rows, seed) → Fitted."""


@dataclass(frozen=True)
class Mean:
    """Soft vote: the mean of the probabilities."""

    models: Sequence[Model]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, D) float32 → (n, K) float64."""
        return np.mean([model.predict_proba(X) for model in self.models], axis=0)


@dataclass(frozen=True)
class Stacked:
    """A logistic head on the log-probabilities of models."""

    models: Sequence[Model]
    head: Any
    classes: int

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, D) float32 → (n, K) float64; 0 for a class without training rows."""
        probabilities = np.zeros((len(X), self.classes))
        probabilities[:, self.head.classes_] = self.head.predict_proba(
            _logs([model.predict_proba(X) for model in self.models])
        )
        return probabilities


def vote(cases: Cases, rows: np.ndarray, members: Mapping[str, Fit], seed: tuple[int, ...]) -> Fitted:
    """The mean of arms that learn from the same rows, each as it would alone."""
    start, each = time.perf_counter(), {name: fit(rows, seed) for name, fit in members.items()}
    return _joined(cases, rows, each, Mean([one.model for one in each.values()]), [], start)


def stack(
    cases: Cases, rows: np.ndarray, members: Mapping[str, Fit], C: float, folds: int, seed: tuple[int, ...]
) -> Fitted:
    """Stacked generalisation (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).

    Multinomial logistic regression, penalty 1/C, on the log-probabilities that the arms give to training patients of
    whom they learned nothing: inner folds by patient. The arms are then fitted on all training rows.
    """
    from sklearn.linear_model import LogisticRegression

    start, classes = time.perf_counter(), len(cases.classes)
    probabilities = np.full((len(members), len(rows), classes), np.nan)
    remarks = []
    for number, (learn, check) in enumerate(inner_folds(cases, rows, folds, (*seed, 2))):
        if np.count_nonzero(cases.counts(rows[learn])) < 2:
            remarks.append(f"inner fold {number}: one class to learn from, left out")
            continue
        for position, fit in enumerate(members.values()):
            inner = fit(rows[learn], (*seed, 2, number + 1))
            probabilities[position, check] = predict(inner.model, cases.X, rows[check])
    said = ~np.isnan(probabilities[0, :, 0])
    head = LogisticRegression(C=C, max_iter=1000).fit(_logs(probabilities[:, said]), cases.y[rows[said]])
    each = {name: fit(rows, seed) for name, fit in members.items()}
    return _joined(cases, rows, each, Stacked([one.model for one in each.values()], head, classes), remarks, start)


def _logs(probabilities: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """(M, n, K) → (n, M·K) float64."""
    return np.concatenate([np.log(np.maximum(of, LEAST)) for of in probabilities], axis=1)


def _joined(
    cases: Cases, rows: np.ndarray, each: Mapping[str, Fitted], model: Model, remarks: list[str], start: float
) -> Fitted:
    """Counts are those of the training rows: each arm resampled on its own."""
    resampling = sum(one.seconds_resample for one in each.values())
    seconds = time.perf_counter() - start - resampling
    said = [f"{name}, class {cases.classes[c]}: {note}" for name, one in each.items() for c, note in one.notes.items()]
    said += [f"{name}: {remark}" for name, one in each.items() for remark in one.remarks]
    searched = [
        {**record, "arm": "/".join(filter(None, [name, record.get("arm")]))}
        for name, one in each.items()
        for record in one.searched
    ]
    return Fitted(model, cases.counts(rows), resampling, seconds, {}, remarks + said, searched)

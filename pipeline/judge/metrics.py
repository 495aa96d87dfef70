"""Figures of one set of predictions, for many weightings of its rows at once.

A point figure is the weighting by ones; a bootstrap is one column of weights per draw. A figure is the one that
scikit-learn gives for the same `sample_weight`, with one rule on top: in a mean over classes, a class that has no
weight among the labels of a draw takes its figure of the sample itself. Left out, it would let a draw without the
hardest class be the best. A class that the sample lacks is left out; a figure that is not defined (no class is there,
nothing to divide by) is NaN.

Of two classes the second is the positive one, and AUC, average precision and calibration error are its own: those of
the first would count the same ranking twice. Of several labels, each is judged as a task of two classes on the rows
where it is known, and a figure is the mean over the labels ("macro" in scikit-learn; Tsoumakas et al. 2010,
doi:10.1007/978-0-387-09823-4_34), except that macro-F1 is the mean F1 of being present. A label that in a draw has no
present or no absent row takes its figure of the sample, too.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np

from pipeline.judge.tally import Multilabel, Predictions, Tally, Weighting, Weights, predictions, ratio

Kappa = Literal["quadratic", "linear", "none"]

Metric = Callable[[Tally], np.ndarray]


def recall(tally: Tally) -> np.ndarray:
    """Share of each class that is predicted as such, (B, K)."""
    return ratio(_hits(tally), _true(tally))


def specificity(tally: Tally) -> np.ndarray:
    """Share of the other classes that is not predicted as this one, (B, K)."""
    others = tally.total[:, None] - _true(tally)
    return ratio(others - (_predicted(tally) - _hits(tally)), others)


def precision(tally: Tally) -> np.ndarray:
    """Share of the predictions of each class that is right, (B, K); NaN for a class never predicted."""
    return ratio(_hits(tally), _predicted(tally))


def f1(tally: Tally) -> np.ndarray:
    """Harmonic mean of recall and precision of each class, (B, K)."""
    return ratio(2 * _hits(tally), _true(tally) + _predicted(tally))


def prevalence_ratio(tally: Tally) -> np.ndarray:
    """Predicted over true frequency of each class, (B, K): 1 where as often predicted as there."""
    return ratio(_predicted(tally), _true(tally))


def macro_f1(tally: Tally) -> np.ndarray:
    """F1, mean over classes."""
    return _macro(f1, tally)


def cohens_kappa(tally: Tally, weighting: Kappa = "quadratic") -> np.ndarray:
    """Agreement beyond chance (Cohen 1968, doi:10.1037/h0026256); quadratic and linear are for grades."""
    grade = np.arange(tally.predictions.classes)
    distance = np.abs(grade[:, None] - grade).astype(float)
    cost = {"quadratic": distance**2, "linear": distance, "none": (distance > 0).astype(float)}[weighting]
    chance = _true(tally)[:, :, None] * _predicted(tally)[:, None, :]  # (B, K, K)
    seen, expected = ((cost * table).sum(axis=(1, 2)) for table in (tally.confusion, chance))
    return 1 - ratio(seen * tally.total, expected)


def balanced_accuracy(tally: Tally) -> np.ndarray:
    """Recall, mean over classes."""
    return _macro(recall, tally)


def balanced_accuracy_adjusted(tally: Tally) -> np.ndarray:
    """Balanced accuracy from chance (0) to perfect (1), over the classes that are there."""
    chance = ratio(np.ones(1), (_true(tally.sample) > 0).sum(axis=1))
    return ratio(balanced_accuracy(tally) - chance, np.broadcast_to(1 - chance, tally.total.shape))


def auc(tally: Tally) -> np.ndarray:
    """Area under the ROC curve of each class against the rest, mean over classes; of two, that of the second."""
    return _mean(_filled(tally.areas[0], lambda: tally.sample.areas[0]))


def average_precision(tally: Tally) -> np.ndarray:
    """Precision averaged over the steps of recall, likewise."""
    return _mean(_filled(tally.areas[1], lambda: tally.sample.areas[1]))


def class_auc(tally: Tally) -> np.ndarray:
    """Area under the ROC curve of each class against the rest, (B, K); of two, that of the second alone."""
    return _of_classes(tally.areas[0], tally.predictions)


def class_average_precision(tally: Tally) -> np.ndarray:
    """Average precision of each class, likewise."""
    return _of_classes(tally.areas[1], tally.predictions)


def accuracy(tally: Tally) -> np.ndarray:
    """Share of right predictions; it shows nothing of a rare class."""
    return ratio(_hits(tally).sum(axis=1), tally.total)


def brier(tally: Tally) -> np.ndarray:
    """Squared distance of probabilities and one-hot label, 0 to 2 (Brier 1950); less is better.

    Of two classes or of a label it is twice the squared distance of the positive one, so that it keeps this range.
    """
    return ratio(tally.losses[:, 0], tally.total)


def log_loss(tally: Tally) -> np.ndarray:
    """Negative log of the probability of the label, nats; less is better."""
    return ratio(tally.losses[:, 1], tally.total)


def ece(tally: Tally) -> np.ndarray:
    """Classwise calibration error (Kull et al. 2019, arXiv:1910.12656), mean over all K, of two the second's.

    Per class the distance between probability and frequency, over BINS bins of equal width, closed below;
    less is better.
    """
    gaps = np.abs(tally.gaps).sum(axis=1) / len(tally.predictions.against_rest)
    return ratio(gaps, tally.total)


def registry(kappa: Kappa) -> dict[str, Metric]:
    """METRICS with this weighting of kappa."""
    return METRICS | {"kappa": partial(cohens_kappa, weighting=kappa)}


def measure(
    given: Predictions | Multilabel, weighting: Weighting, metrics: Mapping[str, Metric]
) -> dict[str, np.ndarray]:
    """Figures by name, (B,) or (B, K) float64, under B weightings of the rows."""
    if isinstance(given, Predictions):
        tally = Tally(given, weighting)
        return {name: metric(tally) for name, metric in metrics.items()}
    each = [Tally(of, weighting.of(rows)) for rows, of in given.each]
    return {name: _over_labels(metric, each) for name, metric in metrics.items()}


def point(given: Predictions | Multilabel, metrics: Mapping[str, Metric]) -> dict[str, np.ndarray]:
    """Figures with every row counted once, by name: () or (K,) float64."""
    figures = measure(given, Weights(np.ones((len(given.labels), 1))), metrics)
    return {name: values[0] for name, values in figures.items()}


def score(labels: np.ndarray, probabilities: np.ndarray, kappa: Kappa = "quadratic") -> dict[str, float]:
    """Every figure of METRICS.

    Args:
        labels: (n,) int, 0 … K-1; or (n, L) int8, 1 present, 0 absent, -1 missing.
        probabilities: (n, K) float, rows sum to 1; or (n, L) float, of each label.
        kappa: its weighting, which plays no part for two classes and for labels.
    """
    figures = point(predictions(labels, probabilities), registry(kappa))
    return {name: float(value) for name, value in figures.items()}


def selection_key(figures: Mapping[str, float], keys: Sequence[str]) -> tuple[float, ...]:
    """What sorts arms and epochs, greatest best: these figures in order; one not defined is below all."""
    return tuple(-np.inf if np.isnan(figures[key]) else figures[key] for key in keys)


def _hits(tally: Tally) -> np.ndarray:
    return np.diagonal(tally.confusion, axis1=1, axis2=2)


def _true(tally: Tally) -> np.ndarray:
    return tally.confusion.sum(axis=2)


def _predicted(tally: Tally) -> np.ndarray:
    return tally.confusion.sum(axis=1)


def _of_classes(areas: np.ndarray, of: Predictions) -> np.ndarray:
    """Areas (B, R) in the columns of their classes, (B, K); NaN in those that are not told from the rest."""
    every = np.full((len(areas), of.classes), np.nan)
    every[:, of.against_rest] = areas
    return every


def _macro(metric: Metric, tally: Tally) -> np.ndarray:
    """Mean over the classes, (B,)."""
    return _mean(_filled(_of_present(metric, tally), lambda: _of_present(metric, tally.sample)))


def _of_present(metric: Metric, tally: Tally) -> np.ndarray:
    """Figures (B, K) of the classes that have weight among the labels, NaN of others."""
    return np.where(_true(tally) > 0, metric(tally), np.nan)


def _filled(values: np.ndarray, of_sample: Callable[[], np.ndarray]) -> np.ndarray:
    """Values (B, C), in place of NaN those of the sample itself, (1, C), except where a draw has nothing else."""
    lacking = np.isnan(values)
    lacking &= ~lacking.all(axis=1, keepdims=True)
    return np.where(lacking, of_sample(), values) if lacking.any() else values


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over axis 1 of what is not NaN, NaN where all of it is."""
    counted = ~np.isnan(values)
    return ratio(np.where(counted, values, 0).sum(axis=1), counted.sum(axis=1))


def _over_labels(metric: Metric, each: Sequence[Tally]) -> np.ndarray:
    """Of a figure per class (B, 2) that of being present, (B, L); of a figure (B,) the mean over labels, (B,)."""
    metric = _f1_of_present if metric is macro_f1 else metric
    values = np.stack([metric(tally) for tally in each], axis=1)
    if values.ndim == 3:
        return values[:, :, 1]
    return _mean(_filled(_of_both(values, each), lambda: _of_both_in_samples(metric, each)))


def _of_both(values: np.ndarray, each: Sequence[Tally]) -> np.ndarray:
    """Figures (B, L) of the labels that are both present and absent, NaN of others."""
    both = np.stack([(_true(tally) > 0).all(axis=1) for tally in each], axis=1)
    return np.where(both, values, np.nan)


def _of_both_in_samples(metric: Metric, each: Sequence[Tally]) -> np.ndarray:
    samples = [tally.sample for tally in each]
    return _of_both(np.stack([metric(sample) for sample in samples], axis=1), samples)


def _f1_of_present(tally: Tally) -> np.ndarray:
    return f1(tally)[:, 1]


METRICS: dict[str, Metric] = {
    "macro_f1": macro_f1,
    "kappa": cohens_kappa,
    "balanced_accuracy": balanced_accuracy,
    "balanced_accuracy_adjusted": balanced_accuracy_adjusted,
    "auc": auc,
    "average_precision": average_precision,
    "accuracy": accuracy,
    "brier": brier,
    "log_loss": log_loss,
    "ece": ece,
}

DECIDED = ("macro_f1", "kappa", "balanced_accuracy", "balanced_accuracy_adjusted", "accuracy")

CLASSWISE: dict[str, Metric] = {
    "recall": recall,
    "specificity": specificity,
    "precision": precision,
    "f1": f1,
    "prevalence_ratio": prevalence_ratio,
    "auc": class_auc,
    "average_precision": class_average_precision,
}

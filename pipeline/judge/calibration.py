"""Whether probabilities are frequencies, class by class.

Rows are put in bins of about equally many, of which none parts rows of equal probability: bins of equal width leave
most of a rare class's rows in one (Nguyen & O'Connor 2015, doi:10.18653/v1/D15-1182; Roelofs et al. 2022,
arXiv:2012.08668).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.judge import proportions, questions
from pipeline.judge.arms import Rows

BINS = 10
LEAST_ROWS = 20  # of a bin, where there are so few rows that BINS would hold less
NEAREST = 1e-6  # to 0 and 1 of a probability whose logit is taken: those of trees and neighbours may be 0
CURVE = ["class", "probability", "frequency", "low", "high", "n"]
FIGURES = [
    "class",
    "ece",
    "brier",
    "reliability",
    "resolution",
    "uncertainty",
    "slope",
    "intercept",
    "prevalence",
    "predicted",
]


@dataclass(frozen=True, eq=False)
class Binned:
    """Rows in B bins by their probability."""

    probability: np.ndarray  # (n,) float64
    own: np.ndarray  # (n,) bool
    patients: np.ndarray  # (n,) int
    bins: np.ndarray  # (n,) int, 0 … B-1, each in use

    @property
    def rows(self) -> np.ndarray:
        """Of each bin, (B,) int."""
        return np.bincount(self.bins)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of (n,) values in each bin, (B,) float64."""
        return np.bincount(self.bins, values) / self.rows

    def variance(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variance of these means, patients being independent and their rows not, and the patients, twice (B,).

        It is that of a ratio of sums over patients (Cochran 1977, Sampling Techniques, chapter 9A), and NaN in a bin of
        one patient.
        """
        gaps = values - self.mean(values)[self.bins]
        cells, cell = np.unique(self.bins * (self.patients.max() + 1) + self.patients, return_inverse=True)
        bins = cells // (self.patients.max() + 1)
        patients = np.bincount(bins)
        squares = np.bincount(bins, np.bincount(cell, gaps) ** 2)
        factor = np.divide(patients, patients - 1, out=np.full(len(patients), np.nan), where=patients > 1)
        return factor * squares / self.rows**2, patients


def binned(probability: np.ndarray, own: np.ndarray, patients: np.ndarray) -> Binned:
    """Rows in bins of equal mass.

    Args:
        probability: (n,) float64.
        own: whether the row has the class, (n,) bool.
        patients: (n,) int.
    """
    wanted = max(1, min(BINS, len(own) // LEAST_ROWS))
    edges = np.sort(probability)[np.arange(1, wanted) * len(own) // wanted]
    bins = np.searchsorted(np.unique(edges), probability, side="right")
    return Binned(probability, own, patients, np.unique(bins, return_inverse=True)[1])


def curve(rows: Rows, names: Sequence[str], confidence: float) -> pd.DataFrame:
    """Mean probability and frequency by bin, with an interval that takes rows of a patient as alike.

    Returns:
        columns CURVE; no row of a class that all or none have.
    """
    parts = []
    for one in questions.each(rows, names):
        of = binned(one.probability, one.own, one.patients)
        frequency, (variance, patients) = of.mean(one.own), of.variance(one.own)
        low, high = proportions.ends(frequency, variance, of.rows, patients, confidence)
        values = {"probability": of.mean(one.probability), "frequency": frequency, "low": low, "high": high}
        parts.append(pd.DataFrame({"class": one.name, **values, "n": of.rows}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(CURVE))


def table(rows: Rows, names: Sequence[str]) -> pd.DataFrame:
    """One row per class: how its probabilities agree with what is there.

    Returns:
        columns FIGURES; ece: root of `squared_error`, 0 where that is negative; brier: mean squared distance, 0 to 1;
        reliability, resolution and uncertainty of `murphy`; slope and intercept of `recalibration`; prevalence: share
        of the rows that have the class; predicted: mean probability.
    """
    found = []
    for one in questions.each(rows, names):
        of = binned(one.probability, one.own, one.patients)
        brier = float(np.mean((one.probability - one.own) ** 2))
        figures = (float(np.sqrt(max(0.0, squared_error(of)))), brier, *murphy(of))
        shares = (float(one.own.mean()), float(one.probability.mean()))
        found.append((one.name, *figures, *recalibration(one.probability, one.own), *shares))
    return pd.DataFrame(found, columns=pd.Index(FIGURES))


def squared_error(of: Binned) -> float:
    """Squared distance between probability and frequency, mean over bins by their rows; negative where noise is less.

    The square of a bin's gap holds that of its noise, so that the plain calibration error of a perfect model is well
    above 0. The variance of the gap is taken off (Kumar et al. 2019, arXiv:1909.10155), here over patients: the mean
    over samples is that of the bins' true gaps. A bin of one patient tells nothing and counts as 0.
    """
    gaps = of.probability - of.own
    squares, (variance, patients) = of.mean(gaps) ** 2, of.variance(gaps)
    return float(np.average(np.where(patients > 1, squares - variance, 0), weights=of.rows))


def murphy(of: Binned) -> tuple[float, float, float]:
    """Reliability, resolution and uncertainty: reliability - resolution + uncertainty is the Brier score.

    As of Murphy (1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2), with what the probabilities tell apart
    within a bin counted as resolution (Stephenson et al. 2008, doi:10.1175/2007WAF2006116.1).
    """
    prevalence, frequency, forecast = of.own.mean(), of.mean(of.own), of.mean(of.probability)
    reliability = np.average((forecast - frequency) ** 2, weights=of.rows)
    between = np.average((frequency - prevalence) ** 2, weights=of.rows)
    off, beside = of.probability - forecast[of.bins], of.own - frequency[of.bins]
    resolution = between - np.mean(off**2) + 2 * np.mean(off * beside)
    return float(reliability), float(resolution), float(prevalence * (1 - prevalence))


def recalibration(probability: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the class on the logit of its probability.

    The slope (Cox 1958, doi:10.1093/biomet/45.3-4.562) is 1 for a calibrated model and less for one that is too sure.
    The intercept is that with the slope held at 1, also known as calibration in the large (Van Calster et al. 2016,
    doi:10.1016/j.jclinepi.2015.12.005): 0 for a model whose mean is right, negative for one that says too much.

    Args:
        probability: (n,) float64.
        own: whether the row has the class, (n,) bool; some have it and some don't.

    Returns:
        slope and intercept; the slope is NaN where it would be infinite, as the logits tell the classes apart without
        error, or where all of them are equal.
    """
    clipped = probability.clip(NEAREST, 1 - NEAREST)
    logits = np.log(clipped / (1 - clipped))
    ones, there, absent = np.ones((len(own), 1)), logits[own], logits[~own]
    intercept = float(_newton(ones, own, logits)[0])
    if there.min() >= absent.max() or there.max() <= absent.min():
        return np.nan, intercept
    return float(_newton(np.column_stack([ones, logits]), own, np.zeros(len(own)))[1]), intercept


def _newton(X: np.ndarray, own: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Coefficients of greatest likelihood, (d,): Newton's steps, halved until the likelihood does not fall."""
    beta, here = np.zeros(X.shape[1]), _likelihood(offset, own)
    for _ in range(100):
        share = np.exp(-np.logaddexp(0, -(offset + X @ beta)))  # of large scores, too
        hessian = (X * (share * (1 - share))[:, None]).T @ X
        step = np.linalg.lstsq(hessian, X.T @ (own - share), rcond=None)[0]
        while (there := _likelihood(offset + X @ (beta + step), own)) < here - 1e-9 and np.abs(step).max() > 1e-9:
            step /= 2
        beta, here = beta + step, there
        if np.abs(step).max() < 1e-9:
            break
    return beta


def _likelihood(scores: np.ndarray, own: np.ndarray) -> float:
    """Log of the likelihood, without overflow."""
    return -float(np.logaddexp(0, np.where(own, -scores, scores)).sum())

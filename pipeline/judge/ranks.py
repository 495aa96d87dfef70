"""Which arms the folds tell apart, all at once: mean ranks with a critical difference.

Friedman's test and Nemenyi's (Demšar 2006, JMLR 7:1-30), with folds in place of data sets. Folds of one data set
share training rows, so this is a picture of how steady the order is, and no verdict: that is `comparison`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEAST_FOLDS, LEAST_ARMS = 3, 2
GRID = np.linspace(-8.5, 8.5, 2001)  # standard deviations: beyond them no double has mass


def table(figures: Mapping[str, Mapping[str, np.ndarray]], confidence: float) -> dict[str, dict[str, Any]]:
    """What a critical-difference picture shows, by metric.

    Args:
        figures: of every fold, (J,) float64, by metric and arm; more is better.
        confidence: that no two equal arms are told apart.

    Returns:
        By metric: `folds`, their number; `ranks`, mean rank by arm, best first, 1 the best; `critical_difference` of
        mean ranks; `p` of Friedman's test; `cliques`, lists of arms that are not told apart, the largest such, each of
        two or more. A metric of fewer than LEAST_FOLDS folds or LEAST_ARMS arms is absent; a fold in which an arm
        lacks the figure does not count.
    """
    return {
        metric: _metric(list(of), values[:, whole], confidence)
        for metric, of in figures.items()
        if len(of) >= LEAST_ARMS
        for values in [np.stack(list(of.values()))]
        for whole in [~np.isnan(values).any(axis=0)]
        if whole.sum() >= LEAST_FOLDS
    }


def _metric(arms: Sequence[str], values: np.ndarray, confidence: float) -> dict[str, Any]:
    within = ranks(values)
    means = within.mean(axis=1)
    order = np.argsort(means, kind="stable")
    p, width = friedman(within), critical_difference(len(arms), values.shape[1], confidence)
    groups = cliques(means[order], width if p < 1 - confidence else np.inf)
    return {
        "folds": values.shape[1],
        "ranks": {arms[i]: round(float(means[i]), 6) for i in order},
        "critical_difference": float(f"{width:.6g}"),
        "p": float(f"{p:.6g}"),
        "cliques": [[arms[i] for i in order[start:end]] for start, end in groups],
    }


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each arm in each fold, (k, J) float64: 1 the greatest, equal ones share the mean of theirs."""
    above = (values[:, None] < values[None]).sum(axis=1)
    equal = (values[:, None] == values[None]).sum(axis=1)
    return above + (equal + 1) / 2


def friedman(within: np.ndarray) -> float:
    """p of Friedman's chi-square with its correction for ties, from ranks (k, J); 1 where all are tied."""
    from scipy.special import chdtrc

    arms, folds = within.shape
    spread = ((within - (arms + 1) / 2) ** 2).sum()
    between = folds * ((within.mean(axis=1) - (arms + 1) / 2) ** 2).sum()
    return float(chdtrc(arms - 1, (arms - 1) * folds * between / spread)) if spread else 1.0


def critical_difference(arms: int, folds: int, confidence: float) -> float:
    """Least difference of two mean ranks that Nemenyi's test takes for one."""
    return studentized_range(arms, confidence) / np.sqrt(2) * np.sqrt(arms * (arms + 1) / (6 * folds))


def studentized_range(count: int, confidence: float) -> float:
    """Quantile of the range of `count` standard normal values."""
    from scipy.optimize import root_scalar
    from scipy.special import ndtr

    density = np.exp(-(GRID**2) / 2) / np.sqrt(2 * np.pi) * (GRID[1] - GRID[0])
    below = ndtr(GRID)

    def missed(width: float) -> float:
        return float(count * (density * (ndtr(GRID + width) - below) ** (count - 1)).sum() - confidence)

    return root_scalar(missed, bracket=(0, 20)).root


def cliques(means: np.ndarray, width: float) -> list[tuple[int, int]]:
    """Runs [start, end) of sorted mean ranks (k,) that lie within less than `width`, none of them within another."""
    ends = [int(np.searchsorted(means, first + width, "left")) for first in means]
    runs = [(start, max(end, start + 1)) for start, end in enumerate(ends)]
    return [
        run for run, before in zip(runs, [(0, 0), *runs], strict=False) if run[1] > before[1] and run[1] - run[0] > 1
    ]

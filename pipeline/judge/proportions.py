"""Intervals of shares of rows that come in patients, honest where the rows are few or all alike.

A share that all of a few rows have, or none, has draws that do not vary: a bootstrap would call it certain. So these
intervals are those of Clopper & Pearson (1934, doi:10.1093/biomet/26.4.404) at the effective sample size of Korn &
Graubard (1998): as many independent rows as would make the share vary as much as it does between draws of patients.
"""

import numpy as np

ALIKE = 1e-18  # variance of draws that differ by rounding alone


def ends(
    shares: np.ndarray, variances: np.ndarray, rows: np.ndarray, patients: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals of K shares, twice (K,) float64; NaN where there is no row.

    Args:
        shares: (K,) float64, 0 to 1.
        variances: of the draws of a bootstrap over patients, (K,) float64.
        rows: that each is a share of, (K,) int.
        patients: that these rows are of, (K,) int.
        confidence: of the intervals.
    """
    return exact(shares, effective(shares, variances, rows, patients, confidence), confidence)


def effective(
    shares: np.ndarray, variances: np.ndarray, rows: np.ndarray, patients: np.ndarray, confidence: float
) -> np.ndarray:
    """Effective number of independent rows, (K,) float64: at most the rows; the patients where draws do not vary.

    It is made smaller where the variance itself is known from few patients, by the quantiles of Student's t for the
    rows and for the patients (Korn & Graubard 1998, Survey Methodology 24:193-201).
    """
    from scipy.special import stdtrit

    varies, above = variances > ALIKE, 1 - (1 - confidence) / 2
    independent = np.minimum(shares * (1 - shares) / np.where(varies, variances, 1), rows)
    sure = stdtrit(np.maximum(rows - 1, 1), above) / stdtrit(np.maximum(patients - 1, 1), above)
    return np.where(varies, independent * sure**2, patients)


def exact(shares: np.ndarray, size: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Clopper & Pearson's ends for shares of `size` independent rows, not always whole, twice (K,)."""
    from scipy.special import betaincinv

    tail, hits = (1 - confidence) / 2, shares * size
    there = (size > 0) & ~np.isnan(shares)
    some, others = there & (hits > 0), there & (hits < size)
    low, high = (np.where(there, end, np.nan) for end in (0.0, 1.0))
    low[some] = betaincinv(hits[some], (size - hits)[some] + 1, tail)
    high[others] = betaincinv(hits[others] + 1, (size - hits)[others], 1 - tail)
    return low, high

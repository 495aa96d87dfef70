"""The table of classes: how much is known of each, and its figures with intervals."""

from collections.abc import Mapping

import numpy as np

from pipeline.judge import intervals, means, proportions
from pipeline.judge.intervals import FEW
from pipeline.judge.tally import Multilabel, Predictions

SHARES = ("recall", "specificity", "precision", "f1")  # of rows, or as good as one
AREAS = ("auc", "average_precision")

Ends = tuple[np.ndarray, np.ndarray]  # low and high, (K,) each


def table(
    given: Predictions | Multilabel,
    patients: np.ndarray,
    point: Mapping[str, np.ndarray],
    draws: Mapping[str, np.ndarray],
    left_out: Mapping[str, np.ndarray],
    confidence: float,
) -> dict[str, np.ndarray]:
    """Columns (K,) of a table with one row per class or label.

    Intervals of SHARES are those of `proportions`: none has width zero. F1 is 2s / (1 + s) of the share s, of the rows
    that are of the class or are called so, that are both (F*; Hand et al. 2021, doi:10.1007/s10994-021-05964-1).

    Intervals of AREAS are those of their draws, wider where the class or the rest has few patients. Where draws do not
    vary, as of a class that ranks above all others, they are those of a share of these patients: an area is a mean over
    them of what lies between 0 and 1, and m such values are all 1 with a probability of at most their mean to the m.

    Args:
        given: predictions.
        patients: (n,) int, as `intervals.codes` gives them.
        point: figures of `metrics.CLASSWISE` by name, (K,).
        draws: of SHARES and AREAS by name, (draws, K).
        left_out: the jackknife of AREAS by name, for BCa intervals; empty for percentiles.
        confidence: of the intervals.

    Returns:
        n (rows of the class), rows (where it is known whether they are), patients (of the class), few (whether these
        are fewer than FEW), predicted (rows), then every figure, its interval as <figure>_low and <figure>_high.
    """
    present, chosen, absent = given.present, given.chosen, given.known & ~given.present
    of = {"recall": present, "specificity": absent, "precision": chosen, "f1": present | chosen}
    own = patients_with(present, patients)
    columns = {
        "n": present.sum(axis=0),
        "rows": given.known.sum(axis=0),
        "patients": own,
        "few": own < FEW,
        "predicted": chosen.sum(axis=0),
    }
    for name, values in point.items():
        columns[name] = values
        if name in SHARES:
            held = of[name].sum(axis=0), patients_with(of[name], patients)
            low, high = _of_share(name, values, draws[name], *held, confidence)
        elif name in AREAS:
            rarer = np.minimum(own, patients_with(absent, patients))
            low, high = _of_area(values, draws[name], left_out.get(name), rarer, confidence)
        else:
            continue
        columns |= {f"{name}_low": low, f"{name}_high": high}
    return columns


def rarest(rows: np.ndarray) -> int:
    """Number of the class with the fewest rows (K,) but for those that have none; of equals the first."""
    return int(np.where(rows > 0, rows, rows.max() + 1).argmin())


def _of_share(
    name: str, values: np.ndarray, draws: np.ndarray, rows: np.ndarray, patients: np.ndarray, confidence: float
) -> Ends:
    if name != "f1":
        return proportions.ends(values, means.variances(draws), rows, patients, confidence)
    low, high = proportions.ends(
        values / (2 - values), means.variances(draws / (2 - draws)), rows, patients, confidence
    )
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _of_area(
    values: np.ndarray, draws: np.ndarray, left_out: np.ndarray | None, patients: np.ndarray, confidence: float
) -> Ends:
    wide = proportions.exact(values, patients, confidence)
    ends = intervals.ends(draws, values, left_out, confidence, patients)
    low, high = (np.where(means.variances(draws) < proportions.ALIKE, *of) for of in zip(wide, ends, strict=True))
    return low, high


def patients_with(held: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """How many of the patients (n,) have a row in each column of (n, K) bool, (K,) int."""
    return np.array([np.count_nonzero(np.bincount(patients[column])) for column in held.T])

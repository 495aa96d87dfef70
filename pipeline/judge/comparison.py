"""Which arm comes first, and whether it is better than another."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.judge.intervals import percentiles
from pipeline.judge.metrics import selection_key

COMPARED = ("macro_f1", "kappa", "balanced_accuracy_adjusted")  # more is better in each


def note(confidence: float) -> str:
    """What a reader of the intervals must know."""
    return (
        "Each interval stands alone; they are not corrected for their number. Of 100 comparisons between equal arms, "
        f"about {100 * (1 - confidence):.3g} are expected to read better or worse by chance."
    )


def rank(figures: Mapping[str, Mapping[str, float]], keys: Sequence[str], constant: Collection[str] = ()) -> list[str]:
    """Arms from best to worst by these figures in order; equal arms stay in the order given.

    Arms in `constant` come last: one answer to every image has a chance-corrected figure of 0, which an arm that tries
    can fall below by chance.
    """
    return sorted(figures, key=lambda arm: (arm not in constant, selection_key(figures[arm], keys)), reverse=True)


def compare(
    points: Mapping[str, Mapping[str, float]],
    draws: Mapping[str, Mapping[str, np.ndarray]],
    pairs: Iterable[tuple[str, str]],
    confidence: float,
) -> pd.DataFrame:
    """Differences between arms on the same rows, with paired intervals; `note` must be read with them.

    Args:
        points: figures by arm and name.
        draws: figures of each bootstrap draw by arm and name, (draws,) float64; the same draws in every arm.
        pairs: arm and reference.
        confidence: of the intervals.

    Returns:
        arm, reference, metric, difference (arm minus reference), low, high, and verdict: better, worse, or
        can't tell where the interval holds 0.
    """
    rows = []
    for arm, reference in pairs:
        for metric in COMPARED:
            low, high = percentiles(draws[arm][metric] - draws[reference][metric], confidence)
            rows.append(
                {
                    "arm": arm,
                    "reference": reference,
                    "metric": metric,
                    "difference": points[arm][metric] - points[reference][metric],
                    "low": float(low),
                    "high": float(high),
                    "verdict": "better" if low > 0 else "worse" if high < 0 else "can't tell",
                }
            )
    columns = ["arm", "reference", "metric", "difference", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns)

"""Whether the probabilities of contestants are frequencies, on test."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.contest.standing import Standing
from pipeline.judge import calibration


def reliability(standing: Standing, classes: Sequence[str], confidence: float) -> pd.DataFrame:
    """Curves of the selected one and, where its decision recalibrates, of its arm as it is."""
    shown = [standing.selected]
    if _recalibrates(standing, standing.selected):
        shown.append(standing.of[standing.selected].arm)
    return _joined({name: calibration.curve(standing.of[name].test, classes, confidence) for name in shown})


def calibrated(standing: Standing, classes: Sequence[str]) -> pd.DataFrame:
    """Figures of every arm, and of its variants that have other probabilities."""
    own = [name for name, one in standing.of.items() if not one.decision or _recalibrates(standing, name)]
    return _joined({name: calibration.table(standing.of[name].test, classes) for name in own})


def _recalibrates(standing: Standing, name: str) -> bool:
    one = standing.of[name]
    plain = standing.of[one.arm].test.predictions.probabilities
    return not np.array_equal(one.test.predictions.probabilities, plain)


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    for arm, table in tables.items():
        table.insert(0, "arm", arm)
    return pd.concat(tables.values(), ignore_index=True)

"""Arms as their fits hold them, on the same rows."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.contest import pooling
from pipeline.contest.pooling import Units
from pipeline.errors import PipelineError
from pipeline.heads.deciding import shares
from pipeline.heads.deciding.calibration import Shares
from pipeline.judge import intake
from pipeline.judge.arms import Rows
from pipeline.params import Evaluate, Unit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """An arm as it was fitted.

    Attributes:
        val: its validation rows.
        test: its test rows.
        shares: class shares of its training rows by fold; none where they are not known.
        report: its fit.json.
    """

    val: Rows
    test: Rows
    shares: dict[int, Shares]
    report: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Of resampling and fitting, over the folds."""
        return sum(fold["seconds_resample"] + fold["seconds_fit"] for fold in self.report["folds"])


@dataclass(frozen=True)
class Entries:
    """What can be judged together.

    Attributes:
        arms: by name, in the order asked for.
        classes: names of the classes or labels.
        tested: image_id (the first), fold and images (how many) of each test row.
        unit: what a row is.
        index: of all images.
        failed: where, what and remedy by arm that could not be fitted.
        ratio: test rows to training rows of a fold; NaN where fit.json doesn't tell how many it learned from.
    """

    arms: dict[str, Entry]
    classes: list[str]
    tested: pd.DataFrame
    unit: Unit
    index: pd.DataFrame
    failed: dict[str, dict[str, str]]
    ratio: float


def load(names: Sequence[str], how: Evaluate, learned: Unit) -> Entries:
    """The arms of these names from their fits.

    Args:
        names: of arms.
        how: the unit that is judged, and how its images are pooled.
        learned: the unit of a prediction, which is judged where `how` names none.

    Raises:
        PipelineError: no arm could be fitted, or their predictions can't be judged together.
    """
    fits = {arm: artifacts.load_fit(arm) for arm in names}
    failed = {arm: report["failure"] for arm, (_, report) in fits.items() if "failure" in report}
    _tell(failed, len(fits))
    tables = {arm: intake.in_order(arm, table) for arm, (table, _) in fits.items() if table is not None}
    intake.check_same_rows(tables)
    index = artifacts.load_index()
    predicted = sum(next(iter(tables.values()))["role"] == "test")
    unit = how.unit or learned
    tables = pooling.unite(tables, index, Units(unit, learned, how.pool))
    shared = next(iter(tables.values()))
    classes = intake.class_names(shared)
    arms = {
        arm: Entry(
            intake.rows_of(table, "val", index),
            intake.rows_of(table, "test", index),
            shares.of_fit(fits[arm][1], classes),
            fits[arm][1],
        )
        for arm, table in tables.items()
    }
    first = next(iter(arms.values()))
    for role, rows in (("val", first.val), ("test", first.test)):
        intake.check_classes(rows.predictions, role, classes)
    tested = shared.loc[shared["role"] == "test", ["image_id", "fold", "images"]].reset_index(drop=True)
    taught = sum(_taught(fold) for fold in next(iter(arms.values())).report["folds"])
    return Entries(arms, classes, tested, unit, index, failed, predicted / taught)


def _tell(failed: Mapping[str, Mapping[str, str]], asked: int) -> None:
    for arm, failure in failed.items():
        log.warning("evaluate: %s could not be fitted and is left out: %s", arm, failure["what"])
    if len(failed) == asked:
        first, why = next(iter(failed.items()))
        what = f"none of {asked} arms could be fitted; {first}: {why['what']}"
        raise PipelineError(artifacts.FITS, what, why["remedy"])


def _taught(fold: Mapping[str, Any]) -> float:
    """Rows that a fold learned from, before resampling, from fit.json; of labels, those of the most widely known."""
    when = "natural" if "counts_natural" in fold else "before"
    counts, absent = fold.get(f"counts_{when}"), fold.get(f"absent_{when}")
    if counts is None:
        return np.nan
    return sum(counts.values()) if absent is None else max(counts[name] + absent[name] for name in counts)

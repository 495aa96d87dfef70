"""Tables of the selected arm, on test."""

from collections.abc import Sequence
from itertools import compress

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.contest.contestants import Contestant
from pipeline.judge import cases as worst
from pipeline.judge import curves, reject
from pipeline.judge.arms import Rows
from pipeline.params import Evaluate


def predictions(one: Contestant, tested: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """What it says of each row, of how many images."""
    test = one.test.predictions
    return pd.DataFrame(
        {
            "image_id": tested["image_id"],
            "images": tested["images"],
            "actual": _names(test.present, classes),
            "predicted": _names(test.chosen, classes),
        }
    )


def cases(one: Contestant, tested: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Its surest errors and its least certain decisions."""
    images, folds = tested["image_id"].tolist(), tested["fold"].to_numpy()
    return worst.table(one.test.predictions, one.certainty[1], images, folds, classes)


def drawn(test: Rows, classes: Sequence[str], how: Evaluate) -> tuple[pd.DataFrame, pd.DataFrame]:
    """ROC and precision-recall curves of each class with their bands."""
    of = curves.each(test.predictions, test.patients, how.draws, how.confidence, how.seed)
    names, each = [classes[number] for number in of], list(of.values())
    roc = _curves([one.roc for one in each], names, ["fpr", "tpr", "low", "high"])
    return roc, _curves([one.pr for one in each], names, ["recall", "precision", "low", "high"])


def rejected(one: Contestant, classes: Sequence[str], how: Evaluate) -> pd.DataFrame:
    """What is gained by leaving the least certain rows to a person."""
    asked = {*reject.COVERAGES, *(rule.values["coverage"] for rule in how.decisions if rule.name == "reject")}
    roles = zip((one.val, one.test), one.certainty, strict=True)
    val, test = (reject.Certain(rows.predictions, certainty, rows.folds) for rows, certainty in roles)
    return reject.table(val, test, classes, how.kappa, sorted(asked, reverse=True))


def _names(of: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The classes of each row, (n, K) bool, as the index writes them: joined, or `No Finding`."""
    return [artifacts.JOINT.join(compress(classes, row)) or artifacts.NO_FINDING for row in of.tolist()]


def _curves(points: Sequence[np.ndarray], classes: Sequence[str], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(np.concatenate(points), columns=pd.Index(columns))
    table.insert(0, "class", np.repeat(np.array(classes, dtype=object), [len(curve) for curve in points]))
    return table

"""The same predictions seen with classes merged, or of some of the rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.judge import classwise, intervals, means, metrics
from pipeline.judge.arms import Interval, Rows
from pipeline.judge.means import OF_CLASS, PARTS
from pipeline.judge.metrics import Metric
from pipeline.judge.tally import Predictions, predictions


def merged(rows: Rows, groups: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Rows:
    """Rows whose classes are groups of classes: probabilities are summed, decided classes are those they belong to.

    Args:
        rows: of classes of which each row has one.
        groups: names of classes by name of the group; every class is in one of them.
        classes: names, in order.
    """
    given = rows.predictions
    assert isinstance(given, Predictions)  # the door refuses views of labels
    group = np.array([next(i for i, names in enumerate(groups.values()) if name in names) for name in classes])
    probabilities = given.probabilities @ np.eye(len(groups))[group]
    return Rows(Predictions(group[given.labels], probabilities, group[given.predicted]), rows.folds, rows.patients)


def some(rows: Rows, here: np.ndarray) -> Rows:
    """The rows of a mask (n,), with patients numbered anew: only theirs are drawn."""
    of = rows.predictions
    decided = None if of.decided is None else of.decided[here]
    kept = predictions(of.labels[here], of.probabilities[here], decided)
    return Rows(kept, rows.folds[here], intervals.codes(rows.patients[here]))


def figures(
    rows: Rows, wanted: Mapping[str, Metric], draws: int, confidence: float, seed: int, interval: Interval
) -> dict[str, tuple[float, float, float]]:
    """Value and ends of the interval over patients of each figure, by name."""
    of, patients = rows.predictions, rows.patients
    parts = {OF_CLASS + part: metrics.CLASSWISE[part] for name, part in PARTS.items() if name in wanted}
    point, drawn = metrics.point(of, wanted), intervals.bootstrap(of, patients, {**wanted, **parts}, draws, seed)
    left_out = intervals.jackknife(of, patients, wanted) if interval == "bca" else {}
    own = classwise.patients_with(of.present, patients)
    resting = {name: means.rests_on(name, drawn, own, len(np.unique(patients))) for name in wanted}
    ends = {
        name: intervals.ends(drawn[name], point[name], left_out.get(name), confidence, resting[name]) for name in wanted
    }
    return {name: (float(point[name]), float(ends[name][0]), float(ends[name][1])) for name in wanted}

"""Tables of merged classes and of subgroups, on test."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from pipeline import artifacts, choices
from pipeline.contest import pooling
from pipeline.contest.contestants import Contestant
from pipeline.contest.entries import Entries
from pipeline.contest.standing import Standing
from pipeline.errors import PipelineError
from pipeline.judge import classwise, metrics, views
from pipeline.judge.arms import BIASED, Rows
from pipeline.judge.intervals import FEW
from pipeline.params import Evaluate

OF_VIEWS = tuple(name for name in metrics.METRICS if name not in BIASED)
OF_SUBGROUPS = ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc")
GROUPS = ["view", "arm", "metric", "value", "low", "high"]
SUBGROUPS = ["column", "value", "n", "patients", "events", "metric", "figure", "low", "high"]
UNTOLD = {"image_id", "path", "group", "exam", "label", "split", "size", "fingerprint"}  # who it is, or what is judged
WHERE = "params.yaml, evaluate"


def check(entered: Entries, how: Evaluate) -> dict[str, str]:
    """Column of the index by subgroup of params.yaml: an attribute is known by its bare name.

    Raises:
        PipelineError: a view doesn't put every class in exactly one group, or there is no such column.
    """
    if faults := choices.view_faults(how.groups, entered.classes):
        raise PipelineError(WHERE, "; ".join(faults), f"the classes are {', '.join(entered.classes)}")
    index = entered.index
    attributes = {name.removeprefix(artifacts.ATTRIBUTE): name for name in artifacts.attribute_columns(index)}
    labels = set(artifacts.label_columns(index))
    plain = {name: name for name in index.columns if name not in {*UNTOLD, *labels, *attributes.values()}}
    known = plain | attributes
    for name in how.subgroups:
        if name.removeprefix(artifacts.ATTRIBUTE) not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            remedy = f"there are {', '.join(known)}; more columns of the labels come with data.attributes"
            raise PipelineError(f"{WHERE}.subgroups", f"index.parquet has no column {name}{hint}", remedy)
    return {name: known[name.removeprefix(artifacts.ATTRIBUTE)] for name in how.subgroups}


def groups(standing: Standing, classes: Sequence[str], how: Evaluate) -> pd.DataFrame:
    """Figures of each view of the leading ones; the decisions are those that they took."""
    rows = []
    for view, parts in how.groups.items():
        for name in standing.leading:
            merged = views.merged(standing.of[name].test, parts, classes)
            rows += [(view, name, *row) for row in _figures(merged, OF_VIEWS, how)]
    return pd.DataFrame(rows, columns=pd.Index(GROUPS))


def subgroups(one: Contestant, entered: Entries, columns: Mapping[str, str], how: Evaluate) -> pd.DataFrame:
    """Figures of one contestant for each value of each column; one row without figures where it has few patients."""
    test = one.test
    rarest = _rarest(test)
    rows = []
    for title, column in columns.items():
        values = pooling.values(entered.tested["image_id"], entered.index, column, entered.unit)
        for value in sorted(set(values)):
            here = values == value
            counts = (int(here.sum()), len(np.unique(test.patients[here])), int(rarest[here].sum()))
            enough = counts[1] >= FEW
            found = _figures(views.some(test, here), OF_SUBGROUPS, how) if enough else [("", np.nan, np.nan, np.nan)]
            rows += [(title, value, *counts, *row) for row in found]
    return pd.DataFrame(rows, columns=pd.Index(SUBGROUPS))


def _figures(rows: Rows, names: Sequence[str], how: Evaluate) -> list[tuple[str, float, float, float]]:
    wanted = {name: metric for name, metric in metrics.registry(how.kappa).items() if name in names}
    found = views.figures(rows, wanted, how.draws, how.confidence, how.seed, how.interval)
    return [(name, *three) for name, three in found.items()]


def _rarest(test: Rows) -> np.ndarray:
    """Whether each row has the rarest class or label that any has, (n,) bool."""
    present = test.predictions.present
    return present[:, classwise.rarest(present.sum(axis=0))]

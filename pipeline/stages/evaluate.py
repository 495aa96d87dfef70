"""fits, index → metrics.json, comparison.csv, evaluation/."""

import logging
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, engine, storage
from pipeline.errors import PipelineError
from pipeline.judge import collapse, comparison, curves, intervals, tally
from pipeline.judge.arms import Judged, Rows, judge
from pipeline.judge.tally import Multilabel, Predictions
from pipeline.params import Params

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Judge every arm of the grid on the same rows and the same draws; select one on validation."""
    how, grid = params.evaluate, params.grid
    baselines = {f"{resampler}-{head}": f"none-{head}" for resampler in grid.resamplers for head in grid.heads}
    fits = {arm: artifacts.load_fit(arm) for arm in baselines}
    tables = {arm: in_order(arm, predictions) for arm, (predictions, _) in fits.items()}
    check_same_rows(tables)
    shared = next(iter(tables.values()))
    classes = class_names(shared)
    index = artifacts.load_index()
    val, test = ({arm: rows_of(table, role, index) for arm, table in tables.items()} for role in ("val", "test"))
    for role, rows in (("val", val), ("test", test)):
        check_classes(next(iter(rows.values())).predictions, role, classes)
    each = (judge(val[arm], test[arm], how.kappa, how.draws, how.confidence, how.seed) for arm in tables)
    judged = dict(zip(tables, engine.track(each, len(tables), "evaluate"), strict=True))
    constant = {arm for arm, rows in val.items() if collapse.is_constant(rows.predictions)}
    ranked = comparison.rank({arm: one.figures["val"] for arm, one in judged.items()}, how.select, constant)
    tested = {arm: rows.predictions for arm, rows in test.items()}
    save_verdict(judged, ranked, baselines, how.confidence)
    save_arms(judged, ranked, baselines, how.select, {arm: fit_seconds(report) for arm, (_, report) in fits.items()})
    save_classes(judged, tested, classes)
    flags = {arm: collapse.flags(of.labels, of.probabilities, classes, how.kappa) for arm, of in tested.items()}
    storage.save_json(artifacts.EVALUATION / "collapse.json", flags)
    save_selected(tested[ranked[0]], shared.loc[shared["role"] == "test", "image_id"], classes)
    log.info("evaluate: %d arms; selected on validation: %s", len(ranked), ranked[0])


def in_order(arm: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """An arm's predictions in the order of image_id and fold.

    Raises:
        PipelineError: no row of a role, a label without a probability, or a value that is no probability.
    """
    path, classes = artifacts.FITS / arm / "predictions.parquet", class_names(predictions)
    for role in ("val", "test"):
        if role not in set(predictions["role"]):
            raise PipelineError(path, f"has no {role} row", "look at artifacts/splits.json; then run `dvc repro`")
    values = predictions[[f"p_{name}" for name in classes]].to_numpy()
    sound = np.all((values >= 0) & (values <= 1 + 1e-3), axis=1)
    if marks := mark_columns(predictions):
        unknown, wanted = {name.removeprefix("y_") for name in marks} ^ set(classes), "from 0 to 1"
    else:
        unknown, wanted = set(predictions["label"]) - set(classes), "that sum to 1"
        sound &= np.abs(values.sum(axis=1) - 1) < 1e-3
    if unknown:
        lacks = "not both y_ and p_ of label" if marks else "no probability of class"
        raise PipelineError(path, f"has {lacks} {', '.join(sorted(unknown))}", _refit(arm))
    if not sound.all():
        raise PipelineError(path, f"{(~sound).sum()} of {len(sound)} rows hold no probabilities {wanted}", _refit(arm))
    return predictions.sort_values(["image_id", "fold"], kind="stable", ignore_index=True)


def check_same_rows(tables: Mapping[str, pd.DataFrame]) -> None:
    """Raise a PipelineError unless the arms have the same images, folds, roles, labels and classes."""
    (first, expected), *others = tables.items()
    keys = ["image_id", "fold", "role", "label", *mark_columns(expected)]
    for arm, found in others:
        same = set(keys) <= set(found) and class_names(found) == class_names(expected)
        if not same or not found[keys].equals(expected[keys]):
            what = f"its images, folds, roles, labels or classes are not those of {first}"
            raise PipelineError(artifacts.FITS / arm, what, f"{_refit(first)}, and {arm} likewise")


def _refit(arm: str) -> str:
    return f"run `dvc repro --force --single-item fit@{arm}`"


def class_names(predictions: pd.DataFrame) -> list[str]:
    """Class names in the order of the p_ columns."""
    return [name.removeprefix("p_") for name in predictions.columns if name.startswith("p_")]


def mark_columns(predictions: pd.DataFrame) -> list[str]:
    """The columns that say whether each label is present, absent or missing; none where an image has one class."""
    return [name for name in predictions.columns if name.startswith("y_")]


def check_classes(given: Predictions | Multilabel, role: str, classes: Sequence[str]) -> None:
    """Log which classes have no test row.

    Raises:
        PipelineError: labels of which none is present in some rows of the role and absent in others.
    """
    lacking = np.asarray(~given.present.any(axis=0))
    if isinstance(given, Multilabel):
        lacking |= ~(given.known & ~given.present).any(axis=0)
        if lacking.all():
            what = f"no label is both present and absent in the {role} rows: there is nothing to judge"
            raise PipelineError(artifacts.FITS, what, "give the split more images of each label, or name other labels")
    empty = [name for name, lacks in zip(classes, lacking, strict=True) if lacks]
    if empty and role == "test":
        kind = "of class" if isinstance(given, Predictions) else "with, or none without,"
        log.warning("no test row %s %s: means over classes leave it out", kind, ", ".join(empty))


def rows_of(predictions: pd.DataFrame, role: str, index: pd.DataFrame) -> Rows:
    """The rows of one role as arrays; raises a PipelineError for an image that the index lacks."""
    here, classes = predictions.query("role == @role"), class_names(predictions)
    groups = index.set_index("image_id")["group"].reindex(here["image_id"]).to_numpy()
    if pd.isna(groups).any():
        what = f"{pd.isna(groups).sum()} predictions are of images that index.parquet lacks"
        raise PipelineError(artifacts.FITS, what, "run `dvc repro`, so that the fits follow the index")
    marks = mark_columns(here)
    labels = (
        here[marks] if marks else pd.Series(pd.Categorical(here["label"], categories=classes).codes, dtype=np.int64)
    )
    probabilities = here[[f"p_{name}" for name in classes]].to_numpy(np.float64)
    of = tally.predictions(labels.to_numpy(), probabilities)
    return Rows(of, here["fold"].to_numpy(), intervals.codes(groups))


def fit_seconds(report: Mapping[str, Any]) -> float:
    """Seconds of resampling and fitting over the folds, from fit.json."""
    return sum(fold["seconds_resample"] + fold["seconds_fit"] for fold in report["folds"])


def save_verdict(
    judged: Mapping[str, Judged], ranked: Sequence[str], baselines: Mapping[str, str], confidence: float
) -> None:
    """Write metrics.json, comparison.csv against the selected arm and, if it is there, the baseline, notes.json."""
    selected = ranked[0]
    content = {"selected": selected, "arms": {arm: one.figures for arm, one in judged.items()}}
    storage.save_json(artifacts.METRICS, content)
    pairs = [(arm, selected) for arm in ranked] + [(arm, baselines[arm]) for arm in ranked]
    table = comparison.compare(
        {arm: one.figures["test"] for arm, one in judged.items()},
        {arm: one.draws for arm, one in judged.items()},
        dict.fromkeys((arm, other) for arm, other in pairs if other in judged and arm != other),
        confidence,
    )
    _save_table(artifacts.COMPARISON, table)
    storage.save_json(artifacts.EVALUATION / "notes.json", {"comparison": comparison.note(confidence)})


def save_arms(
    judged: Mapping[str, Judged],
    ranked: Sequence[str],
    baselines: Mapping[str, str],
    keys: Sequence[str],
    seconds: Mapping[str, float],
) -> None:
    """Write arms.csv: one row per arm, from best to worst on validation; no baseline where the grid has none."""
    shown = [f"{name}{end}" for name in comparison.COMPARED for end in ("", "_low", "_high")]
    rows = [
        {
            "arm": arm,
            "selected": arm == ranked[0],
            "baseline": baselines[arm] if baselines[arm] in judged else "",
            **{name: judged[arm].figures["test"][name] for name in shown},
            **{f"val_{name}": judged[arm].figures["val"][name] for name in keys},
            "seconds": seconds[arm],
        }
        for arm in ranked
    ]
    _save_table(artifacts.EVALUATION / "arms.csv", pd.DataFrame(rows))


def save_classes(
    judged: Mapping[str, Judged], tested: Mapping[str, Predictions | Multilabel], classes: Sequence[str]
) -> None:
    """Write per_class.csv and confusion.json (label by prediction; a 2 by 2 table per label) of every arm, on test."""
    tables = [pd.DataFrame({"arm": arm, "class": classes, **one.classwise}) for arm, one in judged.items()]
    _save_table(artifacts.EVALUATION / "per_class.csv", pd.concat(tables))
    counts = {arm: of.confusion.tolist() for arm, of in tested.items()}
    storage.save_json(artifacts.EVALUATION / "confusion.json", {**counts, "classes": list(classes)})


def save_selected(test: Predictions | Multilabel, images: pd.Series, classes: Sequence[str]) -> None:
    """Write predictions.csv, roc.csv and pr.csv of the selected arm, on test."""
    table = {"image_id": images, "actual": _names(test.present, classes), "predicted": _names(test.chosen, classes)}
    _save_table(artifacts.EVALUATION / "predictions.csv", pd.DataFrame(table))
    drawn = {classes[number]: both for number, both in curves.each(test).items()}
    roc, pr = zip(*drawn.values(), strict=True)
    _save_table(artifacts.EVALUATION / "roc.csv", _curves(roc, list(drawn), ["fpr", "tpr"]))
    _save_table(artifacts.EVALUATION / "pr.csv", _curves(pr, list(drawn), ["recall", "precision"]))


def _names(of: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The classes of each row, (n, K) bool, as the index writes them: joined, or `No Finding`."""
    return [artifacts.JOINT.join(compress(classes, row)) or artifacts.NO_FINDING for row in of.tolist()]


def _curves(points: Sequence[np.ndarray], classes: Sequence[str], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(np.concatenate(points), columns=pd.Index(columns))
    table.insert(0, "class", np.repeat(np.array(classes, dtype=object), [len(curve) for curve in points]))
    return table


def _save_table(path: Path, table: pd.DataFrame) -> None:
    storage.write_atomic(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())

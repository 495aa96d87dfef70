"""features, splits → fits/<arm>/."""

import dataclasses
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, engine, heads, provenance
from pipeline.errors import PipelineError
from pipeline.heads import arms, budget, named, units
from pipeline.heads.cases import Cases
from pipeline.heads.named import Arm
from pipeline.heads.protocol import Protocol
from pipeline.heads.refusals import refusals
from pipeline.heads.strategy import available_memory
from pipeline.judge import metrics
from pipeline.judge.metrics import Kappa
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("numpy", "scipy", "scikit-learn", "imbalanced-learn", "lightgbm")
SOURCES = provenance.sources(__file__, heads)
CHECKED_AT_ONCE = 1 << 14  # rows
LONG = 600  # seconds that are worth a word before they begin
COPIES = 4  # of the training rows that one fit holds: itself, and up to three times as many rows resampled


@dataclass(frozen=True)
class _Fold:
    """One fold: a row of `table` and of `X` for each unit."""

    number: int
    X: np.ndarray  # (n, D) float32
    table: pd.DataFrame  # image_id, label, group, role, natural and what is learned
    described: dict[str, Any]

    @property
    def train(self) -> np.ndarray:
        """Positions to learn from."""
        return np.flatnonzero(self.table["role"] == "train")

    @property
    def predict(self) -> np.ndarray:
        """Positions to predict."""
        return np.flatnonzero(self.table["role"].isin(["val", "test"]))


@dataclass(frozen=True)
class _Question:
    """What one arm is to tell in one fold: the class, or whether one label is there."""

    fold: _Fold
    cases: Cases
    seed: tuple[int, ...]


def run(params: Params, arm: str) -> None:
    """Fit one arm on the training rows of every fold and predict its validation and test rows.

    What the rows of a fold or a library have against this arm is written to its fit.json, and other arms go on.
    """
    plan = named.find(params, arm)
    features, index, splits = artifacts.load_features(), artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    multilabel = bool(artifacts.label_columns(index))
    for entry in named.entries(plan):
        entry.check_classes(arms.MARKS if multilabel else classes)
    refuse_not_finite(features)
    folds = [_fold(number, features, index, splits, classes, params) for number in sorted(splits["fold"].unique())]
    report = {
        "arm": arm,
        **named.describe(plan),
        "classes": classes,
        "made_by": _made_by(params, plan, features, index, splits),
    }
    said: list[str] = []
    try:
        fitted = _fit_folds(folds, classes, plan, params, arm, said)
    except PipelineError as error:
        log.error("%s", error)
        artifacts.save_failure(arm, error, report)
        return
    described = [_describe(fold, one, classes, multilabel) for fold, one in zip(folds, fitted, strict=True)]
    predictions = [_predictions(fold, one, classes) for fold, one in zip(folds, fitted, strict=True)]
    report |= {"folds": described, "warnings": said}
    artifacts.save_fit(arm, pd.concat(predictions, ignore_index=True), [one.models for one in fitted], report)


def refuse_not_finite(features: artifacts.Features) -> None:
    """Raise a PipelineError that counts the rows with NaN or infinite features and names the first three."""
    for name, X in features.values.items():
        starts = range(0, len(X), CHECKED_AT_ONCE)
        finite = np.concatenate([np.isfinite(X[start : start + CHECKED_AT_ONCE]).all(axis=1) for start in starts])
        if not finite.all():
            images = ", ".join(features.rows.loc[~finite, "image_id"].unique()[:3])
            what = f"{(~finite).sum()} of {len(X)} rows have values that are not finite, first those of {images}"
            raise PipelineError(artifacts.FEATURES / f"{name}.npy", what, "run `dvc repro --force --single-item embed`")


def _fold(
    number: int,
    features: artifacts.Features,
    index: pd.DataFrame,
    splits: pd.DataFrame,
    classes: Sequence[str],
    params: Params,
) -> _Fold:
    table = artifacts.join_rows(features.rows, index, splits[splits["fold"] == number], classes)
    table["natural"] = (features.rows["view"] == 0).to_numpy()
    X, roles = features.of_fold(number), table["role"]
    train, predict = (roles == "train").sum(), roles.isin(["val", "test"]).sum()
    if not train or not predict:
        raise PipelineError(
            f"fit, fold {number}",
            f"{train} training rows and {predict} rows to predict have features",
            "see artifacts/quarantine.csv for the images that were set aside",
        )
    if params.fit.unit == "image":
        return _Fold(number, X, table, {})
    keys = index.set_index("image_id")[["exam", "laterality", "view"]].reindex(table["image_id"]).reset_index(drop=True)
    table = table.assign(
        exam=keys["exam"], position=keys["laterality"] + " " + keys["view"], view=features.rows["view"].to_numpy()
    )
    return _united(number, X, table, classes, params)


def _united(number: int, X: np.ndarray, table: pd.DataFrame, classes: Sequence[str], params: Params) -> _Fold:
    """The fold with a row for each exam or patient, and for each of its augmented views."""
    kind, how = params.fit.unit, params.fit.pool
    rows = np.flatnonzero(table["role"] != "")
    images = table.iloc[rows].reset_index(drop=True)
    if kind == "exam" and (unknown := int((images["exam"] == "").sum())):
        what = f"{unknown} of {len(images)} images have neither accession nor study to tell exams by"
        raise PipelineError("fit.unit", what, "use fit.unit: image or patient")
    keys = [images[key].to_numpy() for key in ("group", "exam")[: 1 + (kind == "exam")]]
    whole = units.number(keys)[0]  # with the augmented views, which have the label of their pictures
    unit, first = units.number([whole, images["view"].to_numpy()])
    slots, views = np.zeros(len(rows), int), []
    if how == "side_by_side":
        slots, views = units.slots(images["position"].to_numpy(), (images["role"] == "train").to_numpy())
    pooled = units.pool(X, rows, unit, how, slots)
    joined = images.iloc[first].reset_index(drop=True)
    targets = artifacts.targets(images, classes)
    if targets.ndim == 2:
        marks = units.marks_of(targets, whole)[whole[first]]
        joined[[artifacts.LABEL + name for name in classes]] = marks
        joined["label"] = artifacts.joint_labels(marks, classes)
    else:
        joined["class_number"] = units.class_of(targets, whole, kind)[whole[first]]
    described = {
        "unit": kind,
        "pool": how,
        "units": int(joined["natural"].sum()),
        "images": int(images["natural"].sum()),
    }
    if views:
        lacking = np.isnan(pooled[:, :: X.shape[1]]).sum(axis=0).tolist()
        described["views"] = [
            {"view": view, "filled_with_training_mean": n} for view, n in zip(views, lacking, strict=True)
        ]
    return _Fold(number, pooled, joined, described)


def _fit_folds(
    folds: Sequence[_Fold], classes: list[str], plan: Arm, params: Params, arm: str, said: list[str]
) -> list[arms.FittedArm]:
    """The arm of every fold; what libraries warned of is logged and put into `said`."""
    questions = [question for fold in folds for question in _questions(fold, classes, params.fit.seed)]
    protocol = _protocol(params)
    expected = sum(_seconds(asked, plan, protocol) for asked in questions)
    if expected > LONG:
        log.warning("%s: about %.1f h of one core, or more", arm, expected / 3600)
    with warnings.catch_warnings(record=True) as caught, arms.one_thread_each():
        warnings.simplefilter("always")
        work = partial(_fit, plan=plan, protocol=protocol, arm=arm)
        fitted = list(engine.map(work, questions, _workers(folds, params), arm, threads=True))
    said += sorted({f"{warning.category.__name__}: {str(warning.message).splitlines()[0]}" for warning in caught})
    for message in said:
        log.warning(message)
    parts = [[one for asked, one in zip(questions, fitted, strict=True) if asked.fold is fold] for fold in folds]
    multilabel = artifacts.targets(folds[0].table, classes).ndim == 2
    return [arms.join_labels(part, classes) if multilabel else part[0] for part in parts]


def _seconds(asked: _Question, plan: Arm, protocol: Protocol) -> float:
    return budget.seconds(asked.cases, asked.fold.train, len(asked.fold.predict), plan, protocol)


def _workers(folds: Sequence[_Fold], params: Params) -> int:
    """As many fits at once as memory holds, and not more than asked for: which number it is changes no bit."""
    copy = max(len(fold.train) * fold.X.shape[1] * 4 for fold in folds)
    return max(1, min(engine.workers(params.engine.workers), int(available_memory() // (COPIES * copy))))


def _questions(fold: _Fold, classes: list[str], seed: int) -> list[_Question]:
    targets, natural = artifacts.targets(fold.table, classes), fold.table["natural"].to_numpy()
    patients = pd.factorize(fold.table["group"])[0]
    if targets.ndim == 1:
        return [_Question(fold, Cases(fold.X, targets, patients, natural, classes), (seed, fold.number))]
    return [
        _Question(fold, Cases(fold.X, marks, patients, natural, arms.MARKS), (seed, fold.number, label))
        for label, marks in enumerate(targets.T)
    ]


def _fit(asked: _Question, plan: Arm, protocol: Protocol, arm: str) -> arms.FittedArm:
    fit = arms.fit_fold if len(asked.seed) == 2 else arms.fit_label
    try:
        return fit(asked.cases, asked.fold.train, asked.fold.predict, plan, protocol, asked.seed)
    except PipelineError as error:
        raise PipelineError(f"{arm}, fold {asked.fold.number}, {error.where}", error.what, error.remedy) from error
    except refusals() as error:
        what = f"{type(error).__name__}: {error}"
        raise PipelineError(f"{arm}, fold {asked.fold.number}", what, "mend the values of this arm") from error


def _protocol(params: Params) -> Protocol:
    how = params.fit.search
    return Protocol(how.folds, how.most, how.metric, partial(_score, metric=how.metric, kappa=params.evaluate.kappa))


def _score(labels: np.ndarray, probabilities: np.ndarray, metric: str, kappa: Kappa) -> float:
    given = metrics.predictions(labels, probabilities)
    return float(metrics.point(given, {metric: metrics.registry(kappa)[metric]})[metric])


def _made_by(
    params: Params, plan: Arm, features: artifacts.Features, index: pd.DataFrame, splits: pd.DataFrame
) -> dict[str, Any]:
    inputs = {f"{name}.npy": features.manifest["files"][f"{name}.npy"] for name in features.values}
    return provenance.of(
        "fit",
        {**named.describe(plan), "fit": dataclasses.asdict(params.fit)},
        {**inputs, "split": artifacts.split_checksum(splits, index)},
        PACKAGES,
        SOURCES,
    )


def _predictions(fold: _Fold, fitted: arms.FittedArm, classes: list[str]) -> pd.DataFrame:
    here = fold.table.iloc[fold.predict].reset_index(drop=True)
    frame = here[["image_id", "role", "label"]]
    frame.insert(1, "fold", fold.number)
    if (targets := artifacts.targets(here, classes)).ndim == 2:
        frame = frame.join(pd.DataFrame(targets, columns=[f"y_{name}" for name in classes]))
    return frame.join(pd.DataFrame(fitted.probabilities, columns=[f"p_{name}" for name in classes]))


def _describe(fold: _Fold, fitted: arms.FittedArm, classes: list[str], multilabel: bool) -> dict[str, Any]:
    kind, absent = ("label" if multilabel else "class"), {}
    if fitted.absent is not None:
        absent = {
            f"absent_{when}": dict(zip(classes, counts.tolist(), strict=True))
            for when, counts in zip(("before", "after"), fitted.absent, strict=True)
        }
    return {
        "fold": fold.number,
        "counts_before": dict(zip(classes, fitted.counts_before.tolist(), strict=True)),
        "counts_after": dict(zip(classes, fitted.counts_after.tolist(), strict=True)),
        **absent,
        "seconds_resample": fitted.seconds_resample,
        "seconds_fit": fitted.seconds_fit,
        "warnings": [f"{kind} {classes[number]}: {note}" for number, note in fitted.notes.items()] + fitted.remarks,
        "searched": fitted.searched,
        "units": fold.described,
    }

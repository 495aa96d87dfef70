"""features, splits → fits/<arm>/."""

import dataclasses
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, engine, heads, provenance
from pipeline.errors import PipelineError
from pipeline.heads import arms, budget, gathering, memory, named
from pipeline.heads.cases import Cases
from pipeline.heads.gathering import Fold
from pipeline.heads.named import Arm
from pipeline.heads.protocol import Protocol
from pipeline.heads.refusals import refusals
from pipeline.judge import metrics
from pipeline.judge.metrics import Kappa
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("numpy", "scipy", "scikit-learn", "imbalanced-learn", "lightgbm", "numba")
SOURCES = provenance.sources(__file__, heads)
LONG = 120  # seconds that are worth a word before they begin
WORTH = 5  # seconds of work from which on it pays to start processes, which take one or two to import everything
COPIES = 4  # of the training rows that one fit holds: itself, and up to three times as many rows resampled


@dataclass(frozen=True)
class _Question:
    """What one arm is to tell in one fold: the class, or whether one label is there."""

    fold: Fold
    cases: Cases
    seed: tuple[int, ...]
    of_label: bool


def run(params: Params, arm: str) -> None:
    """Fit one arm on the training rows of every fold and predict its validation and test rows.

    What the rows of a fold or a library have against this arm is written to its fit.json, and other arms go on.
    """
    plan = named.find(params, arm)
    features, index, splits = artifacts.load_features(), artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    multilabel = bool(artifacts.label_columns(index))
    gathering.refuse_not_finite(features)
    folds = gathering.folds(features, index, splits, classes, params.fit.unit, params.fit.pool)
    report = {
        "arm": arm,
        **named.describe(plan),
        "classes": classes,
        "made_by": _made_by(params, plan, features, index, splits),
    }
    try:
        for entry in named.entries(plan):
            entry.check_classes(arms.MARKS if multilabel else classes)
        fitted, said = _fit_folds(folds, classes, plan, params, arm)
    except PipelineError as error:
        log.error("%s", error)
        artifacts.save_failure(arm, error, report)
        return
    described = [_describe(fold, one, classes, multilabel) for fold, one in zip(folds, fitted, strict=True)]
    predictions = [_predictions(fold, one, classes) for fold, one in zip(folds, fitted, strict=True)]
    report |= {"folds": described, "warnings": said}
    artifacts.save_fit(arm, pd.concat(predictions, ignore_index=True), [one.models for one in fitted], report)


def _fit_folds(
    folds: Sequence[Fold], classes: list[str], plan: Arm, params: Params, arm: str
) -> tuple[list[arms.FittedArm], list[str]]:
    """The arm of every fold, and what libraries warned of, which is logged too."""
    questions = [question for fold in folds for question in _questions(fold, classes, params.fit.seed)]
    protocol = _protocol(params)
    expected = sum(_seconds(asked, plan, protocol) for asked in questions)
    if expected > LONG:
        log.warning("%s: about %.0f minutes of one core, or more", arm, expected / 60)
    work = partial(_fit, plan=plan, protocol=protocol, arm=arm)
    fitted, said = _fit_each(work, questions, _workers(folds, params), arm)
    for message in said:
        log.warning(message)
    parts = [[one for asked, one in zip(questions, fitted, strict=True) if asked.fold is fold] for fold in folds]
    multilabel = artifacts.targets(folds[0].table, classes).ndim == 2
    return [arms.join_labels(part, classes) if multilabel else part[0] for part in parts], said


def _fit_each(
    work: Callable[[_Question], tuple[arms.FittedArm, set[str]]], questions: Sequence[_Question], workers: int, arm: str
) -> tuple[list[arms.FittedArm], list[str]]:
    """The first here, which tells how long the others take; those in processes where that is long."""
    start = time.perf_counter()
    first = work(questions[0])
    rest = (time.perf_counter() - start) * (len(questions) - 1)
    results = [first, *engine.map(work, questions[1:], workers if rest > WORTH else 1, arm)]
    return [fitted for fitted, _ in results], sorted(set().union(*(said for _, said in results)))


def _seconds(asked: _Question, plan: Arm, protocol: Protocol) -> float:
    return budget.seconds(asked.cases, asked.fold.train, len(asked.fold.predict), plan, protocol)


def _workers(folds: Sequence[Fold], params: Params) -> int:
    """As many fits at once as memory holds, and not more than asked for: which number it is changes no bit."""
    copy = max(len(fold.train) * fold.X.shape[1] * 4 for fold in folds)
    return max(1, int(min(engine.workers(params.engine.workers), memory.available() / (COPIES * copy))))


def _questions(fold: Fold, classes: list[str], seed: int) -> list[_Question]:
    targets, natural = artifacts.targets(fold.table, classes), fold.table["natural"].to_numpy()
    patients = pd.factorize(fold.table["group"])[0]
    if targets.ndim == 1:
        return [_Question(fold, Cases(fold.X, targets, patients, natural, classes), (seed, fold.number), False)]
    return [
        _Question(fold, Cases(fold.X, marks, patients, natural, arms.MARKS), (seed, fold.number, label), True)
        for label, marks in enumerate(targets.T)
    ]


def _fit(asked: _Question, plan: Arm, protocol: Protocol, arm: str) -> tuple[arms.FittedArm, set[str]]:
    """An arm in one fold, and what libraries warned of."""
    fit = arms.fit_label if asked.of_label else arms.fit_fold
    with warnings.catch_warnings(record=True) as caught, arms.one_thread_each():
        warnings.simplefilter("always")
        try:
            fitted = fit(asked.cases, asked.fold.train, asked.fold.predict, plan, protocol, asked.seed)
        except PipelineError as error:
            where = f"{arm}, fold {asked.fold.number}, {error.where}"
            raise PipelineError(where, error.what, error.remedy) from error
        except refusals() as error:
            what = f"{type(error).__name__}: {error}"
            raise PipelineError(f"{arm}, fold {asked.fold.number}", what, "mend the values of this arm") from error
    return fitted, {f"{one.category.__name__}: {str(one.message).splitlines()[0]}" for one in caught}


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


def _predictions(fold: Fold, fitted: arms.FittedArm, classes: list[str]) -> pd.DataFrame:
    here = fold.table.iloc[fold.predict].reset_index(drop=True)
    frame = here[["image_id", "role", "label"]]
    frame.insert(1, "fold", fold.number)
    if (targets := artifacts.targets(here, classes)).ndim == 2:
        frame = frame.join(pd.DataFrame(targets, columns=[f"y_{name}" for name in classes]))
    return frame.join(pd.DataFrame(fitted.probabilities, columns=[f"p_{name}" for name in classes]))


def _natural(fold: Fold, classes: list[str]) -> dict[str, dict[str, int]]:
    """Training rows without augmented views, which only minority classes have: what the classes' shares are."""
    taken = fold.train[fold.table["natural"].to_numpy()[fold.train]]
    targets = artifacts.targets(fold.table, classes)[taken]
    if targets.ndim == 1:
        return {
            "counts_natural": dict(zip(classes, np.bincount(targets, minlength=len(classes)).tolist(), strict=True))
        }
    return {
        f"{kind}_natural": dict(zip(classes, (targets == mark).sum(axis=0).tolist(), strict=True))
        for kind, mark in (("counts", artifacts.PRESENT), ("absent", artifacts.ABSENT))
    }


def _describe(fold: Fold, fitted: arms.FittedArm, classes: list[str], multilabel: bool) -> dict[str, Any]:
    kind, absent = ("label" if multilabel else "class"), {}
    if fitted.absent is not None:
        absent = {
            f"absent_{when}": dict(zip(classes, counts.tolist(), strict=True))
            for when, counts in zip(("before", "after"), fitted.absent, strict=True)
        }
    return {
        "fold": fold.number,
        **_natural(fold, classes),
        "counts_before": dict(zip(classes, fitted.counts_before.tolist(), strict=True)),
        "counts_after": dict(zip(classes, fitted.counts_after.tolist(), strict=True)),
        **absent,
        "seconds_resample": fitted.seconds_resample,
        "seconds_fit": fitted.seconds_fit,
        "warnings": [f"{kind} {classes[number]}: {note}" for number, note in fitted.notes.items()] + fitted.remarks,
        "searched": fitted.searched,
        "units": fold.described,
    }

"""features, splits → fits/<resampler>-<head>/."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, engine, heads, provenance
from pipeline.errors import PipelineError
from pipeline.heads import arms
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("numpy", "scipy", "scikit-learn", "imbalanced-learn", "lightgbm")
SOURCES = provenance.sources(__file__, heads)


@dataclass(frozen=True)
class _Unit:
    """One question to one fold: which class, or whether one label is there."""

    fold: int
    X: np.ndarray  # (n, D) float32
    targets: np.ndarray  # (n,) int, or (n, L) int8
    patients: np.ndarray  # (n,) int
    train: np.ndarray  # positions
    predict: np.ndarray
    label: int | None


def run(params: Params, arm: str) -> None:
    """Fit one arm on the training rows of every fold and predict its validation and test rows."""
    resampler, _, head = arm.rpartition("-")
    resample = arms.bind_resampler(resampler, params.resamplers.get(resampler, {}))
    make_head = arms.bind_head(head, params.heads.get(head, {}))
    features, index, splits = artifacts.load_features(), artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    folds = sorted(splits["fold"].unique())
    rows = [artifacts.join_rows(features.rows, index, splits[splits["fold"] == fold], classes) for fold in folds]
    units = [unit for fold, of in zip(folds, rows, strict=True) for unit in _units(fold, features, of, classes)]
    work = partial(_fit, classes=len(classes), resample=resample, head=make_head, seed=params.fit.seed)
    cores = engine.workers(params.engine.workers)
    with warnings.catch_warnings(record=True) as caught, arms.threads_each(max(1, cores // len(units))):
        warnings.simplefilter("always")
        try:
            fitted = list(engine.map(work, units, params.engine.workers, arm, threads=True))
        except arms.refusals() as error:
            raise PipelineError(f"fit {arm}", str(error), "mend the params of this arm") from error
    said = sorted({f"{warning.category.__name__}: {str(warning.message).splitlines()[0]}" for warning in caught})
    for message in said:
        log.warning(message)
    parts = [[one for unit, one in zip(units, fitted, strict=True) if unit.fold == fold] for fold in folds]
    multilabel = bool(artifacts.label_columns(index))
    of_folds = [arms.join_labels(part) if multilabel else part[0] for part in parts]
    kind = "label" if multilabel else "class"
    predictions = [_predictions(fold, of, one, classes) for fold, of, one in zip(folds, rows, of_folds, strict=True)]
    report = {
        "arm": arm,
        "resampler": resampler,
        "head": head,
        "classes": classes,
        "folds": [_describe(fold, one, classes, kind) for fold, one in zip(folds, of_folds, strict=True)],
        "warnings": said,
        "made_by": provenance.of(
            "fit",
            {"resampler": params.resamplers[resampler], "head": params.heads[head], "seed": params.fit.seed},
            {
                **{f"{name}.npy": features.manifest["files"][f"{name}.npy"] for name in features.values},
                "split": artifacts.split_checksum(splits, index),
            },
            PACKAGES,
            SOURCES,
        ),
    }
    pairs = [{"scaler": one.scaler, "head": one.head} for one in of_folds]
    artifacts.save_fit(arm, pd.concat(predictions, ignore_index=True), pairs, report)


def _units(fold: int, features: artifacts.Features, rows: pd.DataFrame, classes: Sequence[str]) -> list[_Unit]:
    """What is to be fitted in a fold: one head for all classes, or one for each label."""
    X, (train, predict) = features.of_fold(fold), _positions(rows)
    if not len(train) or not len(predict):
        raise PipelineError(
            f"fit, fold {fold}",
            f"{len(train)} training rows and {len(predict)} rows to predict have features",
            "see artifacts/quarantine.csv for the images that were set aside",
        )
    if not np.isfinite(X).all():
        raise PipelineError(
            "artifacts/features", "has values that are not finite", "run `dvc repro audit` to see which"
        )
    targets = artifacts.targets(rows, classes)
    labels = [None] if targets.ndim == 1 else range(len(classes))
    patients = pd.factorize(rows["group"])[0]
    return [_Unit(fold, X, targets, patients, train, predict, label) for label in labels]


def _fit(
    unit: _Unit, classes: int, resample: Callable[..., Any], head: Callable[..., Any], seed: int
) -> arms.FittedArm:
    X, patients, train, predict = unit.X, unit.patients, unit.train, unit.predict
    if unit.label is None:
        return arms.fit_fold(X, unit.targets, patients, train, predict, classes, resample, head, (seed, unit.fold))
    marks = unit.targets[:, unit.label]
    return arms.fit_label(X, marks, patients, train, predict, resample, head, (seed, unit.fold, unit.label))


def _positions(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    is_train = (rows["role"] == "train").to_numpy()
    return np.flatnonzero(is_train), np.flatnonzero(rows["role"].isin(["val", "test"]).to_numpy())


def _predictions(fold: int, rows: pd.DataFrame, fitted: arms.FittedArm, classes: list[str]) -> pd.DataFrame:
    here = rows.iloc[_positions(rows)[1]].reset_index(drop=True)
    frame = here[["image_id", "role", "label"]]
    frame.insert(1, "fold", fold)
    if (targets := artifacts.targets(here, classes)).ndim == 2:
        frame = frame.join(pd.DataFrame(targets, columns=[f"y_{name}" for name in classes]))
    return frame.join(pd.DataFrame(fitted.probabilities, columns=[f"p_{name}" for name in classes]))


def _describe(fold: int, fitted: arms.FittedArm, classes: list[str], kind: str) -> dict[str, object]:
    return {
        "fold": fold,
        "counts_before": dict(zip(classes, fitted.counts_before.tolist(), strict=True)),
        "counts_after": dict(zip(classes, fitted.counts_after.tolist(), strict=True)),
        "seconds_resample": fitted.seconds_resample,
        "seconds_fit": fitted.seconds_fit,
        "warnings": [f"{kind} {classes[number]}: {note}" for number, note in fitted.notes.items()],
    }

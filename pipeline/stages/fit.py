"""features, splits → fits/<resampler>-<head>/."""

import logging
import warnings
from functools import partial

import numpy as np
import pandas as pd

from pipeline import artifacts, engine, heads, provenance
from pipeline.errors import PipelineError
from pipeline.heads import arms
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("numpy", "scipy", "scikit-learn", "imbalanced-learn", "lightgbm")
SOURCES = provenance.sources(__file__, heads)


def run(params: Params, arm: str) -> None:
    """Fit one arm on the training rows of every fold and predict its validation and test rows."""
    resampler, _, head = arm.rpartition("-")
    resample = arms.bind_resampler(resampler, params.resamplers.get(resampler, {}))
    make_head = arms.bind_head(head, params.heads.get(head, {}))
    features, index, splits = artifacts.load_features(), artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    folds = sorted(splits["fold"].unique())
    rows = [artifacts.join_rows(features.rows, index, splits[splits["fold"] == fold], classes) for fold in folds]
    units = [(fold, features.of_fold(fold), of) for fold, of in zip(folds, rows, strict=True)]
    work = partial(_fit_fold, classes=len(classes), resample=resample, head=make_head, seed=params.fit.seed)
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
    predictions = [_predictions(fold, of, one, classes) for fold, of, one in zip(folds, rows, fitted, strict=True)]
    report = {
        "arm": arm,
        "resampler": resampler,
        "head": head,
        "classes": classes,
        "folds": [_describe(fold, one, classes) for fold, one in zip(folds, fitted, strict=True)],
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
    pairs = [{"scaler": one.scaler, "head": one.head} for one in fitted]
    artifacts.save_fit(arm, pd.concat(predictions, ignore_index=True), pairs, report)


def _fit_fold(unit: tuple[int, np.ndarray, pd.DataFrame], classes: int, resample, head, seed: int) -> arms.FittedArm:
    fold, X, rows = unit
    train, predict = _positions(rows)
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
    return arms.fit_fold(X, rows["label_number"].to_numpy(), train, predict, classes, resample, head, (seed, fold))


def _positions(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    is_train = (rows["role"] == "train").to_numpy()
    return np.flatnonzero(is_train), np.flatnonzero(rows["role"].isin(["val", "test"]).to_numpy())


def _predictions(fold: int, rows: pd.DataFrame, fitted: arms.FittedArm, classes: list[str]) -> pd.DataFrame:
    frame = rows.iloc[_positions(rows)[1]][["image_id", "role", "label"]].reset_index(drop=True)
    frame.insert(1, "fold", fold)
    return frame.join(pd.DataFrame(fitted.probabilities, columns=[f"p_{name}" for name in classes]))


def _describe(fold: int, fitted: arms.FittedArm, classes: list[str]) -> dict[str, object]:
    return {
        "fold": fold,
        "counts_before": dict(zip(classes, fitted.counts_before.tolist(), strict=True)),
        "counts_after": dict(zip(classes, fitted.counts_after.tolist(), strict=True)),
        "seconds_resample": fitted.seconds_resample,
        "seconds_fit": fitted.seconds_fit,
        "warnings": [f"class {classes[label]}: {note}" for label, note in fitted.notes.items()],
    }

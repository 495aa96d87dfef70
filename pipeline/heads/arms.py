"""An arm: scale on training rows → resample training rows → fit a head → probabilities of the other rows."""

import difflib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads.classifiers import HEADS
from pipeline.heads.resamplers import RESAMPLERS


@dataclass(frozen=True)
class FittedArm:
    """One fold of an arm.

    Attributes:
        scaler: fitted on the training rows.
        head: fitted on the scaled and resampled training rows.
        probabilities: of the rows to predict, (m, K) float64; a class without training rows has 0.
        counts_before: training rows of each class, (K,) int.
        counts_after: the same after resampling.
        seconds_resample: wall time.
        seconds_fit: wall time.
        notes: by class number, where the resampler did not do what was asked for.
    """

    scaler: Any
    head: Any
    probabilities: np.ndarray
    counts_before: np.ndarray
    counts_after: np.ndarray
    seconds_resample: float
    seconds_fit: float
    notes: dict[int, str]


def fit_fold(
    X: np.ndarray,
    y: np.ndarray,
    train: np.ndarray,
    predict: np.ndarray,
    classes: int,
    resample: Callable[..., Any],
    head: Callable[..., Any],
    seed: tuple[int, int],
) -> FittedArm:
    """Fit on the training rows and predict the others.

    Args:
        X: features, (n, D) float32.
        y: class numbers, (n,) int.
        train: positions to learn from.
        predict: positions to predict; never scaled with their own statistics, never resampled.
        classes: number of classes K.
        resample: of RESAMPLERS, with its params bound.
        head: of HEADS, with its params bound.
        seed: entropy, such as (seed, fold).
    """
    from sklearn.preprocessing import StandardScaler

    sequence = np.random.SeedSequence(seed)
    scaler = StandardScaler().fit(X[train])
    start = time.perf_counter()
    random_state = np.random.RandomState(np.random.MT19937(sequence))
    rows = resample(scaler.transform(X[train]), y[train], random_state=random_state)
    resampled = time.perf_counter()
    estimator = head(random_state=int(sequence.generate_state(1)[0] >> 1))  # LightGBM takes 31 bits
    estimator.fit(rows.X, rows.y)
    fitted = time.perf_counter()
    probabilities = np.zeros((len(predict), classes))
    probabilities[:, estimator.classes_] = estimator.predict_proba(scaler.transform(X[predict]))
    return FittedArm(
        scaler,
        estimator,
        probabilities,
        np.bincount(y[train], minlength=classes),
        np.bincount(rows.y, minlength=classes),
        resampled - start,
        fitted - resampled,
        rows.notes,
    )


def bind_resampler(name: str, values: Mapping[str, Any]) -> Callable[..., Any]:
    """A resampler with the params of its section; raises PipelineError on an unknown name or param."""
    return _bind("resamplers", RESAMPLERS, name, values, {"X", "y", "random_state"})


def bind_head(name: str, values: Mapping[str, Any]) -> Callable[..., Any]:
    """A head with the params of its section; raises PipelineError on an unknown name or param."""
    return _bind("heads", HEADS, name, values, {"random_state"})


def _bind(
    section: str,
    registry: Mapping[str, Callable[..., Any]],
    name: str,
    values: Mapping[str, Any],
    given: set[str],
) -> Callable[..., Any]:
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        raise PipelineError(
            f"params.yaml: {section}.{name}",
            f"there is no such entry; there are {', '.join(registry)}",
            f"did you mean {near[0]}?" if near else f"take one of these in grid.{section}",
        )
    wanted = [key for key in inspect.signature(registry[name]).parameters if key not in given]
    if set(wanted) != set(values):
        raise PipelineError(
            f"params.yaml: {section}.{name}",
            f"takes {', '.join(wanted) or 'no params'} (got {', '.join(values) or 'none'})",
            "mend the keys of this entry",
        )
    return partial(registry[name], **values)

"""An arm: scale on training rows → resample training rows → fit a head → probabilities of the other rows."""

import difflib
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads.classifiers import HEADS, Constant
from pipeline.heads.resamplers import RESAMPLERS
from pipeline.heads.rows import Rows


@dataclass(frozen=True)
class FittedArm:
    """One fold of an arm.

    Attributes:
        scaler: fitted on the training rows; of several labels a list, one for each.
        head: fitted on the scaled and resampled training rows; of several labels a list, one for each.
        probabilities: of the rows to predict, (m, K) float64; a class without training rows has 0.
        counts_before: training rows of each class, or that have each label, (K,) int.
        counts_after: the same after resampling.
        seconds_resample: wall time.
        seconds_fit: wall time.
        notes: by class number, where what was done is not what was asked for.
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
    patients: np.ndarray,
    train: np.ndarray,
    predict: np.ndarray,
    classes: int,
    resample: Callable[..., Any],
    head: Callable[..., Any],
    seed: tuple[int, ...],
) -> FittedArm:
    """Fit on the training rows and predict the others.

    Args:
        X: features, (n, D) float32.
        y: class numbers, (n,) int.
        patients: patient numbers, (n,) int.
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
    rows = resample(Rows(scaler.transform(X[train]), y[train], patients[train]), random_state=random_state)
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


def fit_label(
    X: np.ndarray,
    marks: np.ndarray,
    patients: np.ndarray,
    train: np.ndarray,
    predict: np.ndarray,
    resample: Callable[..., Any],
    head: Callable[..., Any],
    seed: tuple[int, ...],
) -> FittedArm:
    """Fit one label, absent (0) or present (1), on the training rows where it is known: an arm of two classes.

    Where these rows do not have both, the probability is a constant: (present + 1) / (known + 2), Laplace's rule of
    succession.

    Args:
        X: features, (n, D) float32.
        marks: (n,) int8, 1 present, 0 absent, -1 missing.
        patients: patient numbers, (n,) int.
        train: positions to learn from.
        predict: positions to predict.
        resample: of RESAMPLERS, with its params bound.
        head: of HEADS, with its params bound.
        seed: entropy, such as (seed, fold, label).
    """
    known = train[marks[train] >= 0]
    counts = np.bincount(marks[known], minlength=2)
    if counts.all():
        return fit_fold(X, marks, patients, known, predict, 2, resample, head, seed)
    constant = Constant((counts[1] + 1) / (counts.sum() + 2))
    said = "present in none" if counts[0] else "present in all" if counts[1] else "known of none"
    notes = {1: f"{said} of the training rows, the same probability {constant.present:.3g} for every image"}
    return FittedArm(None, constant, constant.predict_proba(predict), counts, counts, 0.0, 0.0, notes)


def join_labels(each: Sequence[FittedArm]) -> FittedArm:
    """The arm of L labels from those of `fit_label`: probabilities and counts of being present, (m, L) and (L,)."""
    return FittedArm(
        [one.scaler for one in each],
        [one.head for one in each],
        np.stack([one.probabilities[:, 1] for one in each], axis=1),
        np.array([one.counts_before[1] for one in each]),
        np.array([one.counts_after[1] for one in each]),
        sum(one.seconds_resample for one in each),
        sum(one.seconds_fit for one in each),
        {
            label: "; ".join(note if own else f"rows without it: {note}" for own, note in one.notes.items())
            for label, one in enumerate(each)
            if one.notes
        },
    )


def refusals() -> tuple[type[Exception], ...]:
    """What scikit-learn, imbalanced-learn and, once it is imported, LightGBM raise on a param's value."""
    lightgbm = sys.modules.get("lightgbm.basic")
    return (ValueError, TypeError, *([lightgbm.LightGBMError] if lightgbm else []))


def check(
    resamplers: Mapping[str, Mapping[str, Any]],
    heads: Mapping[str, Mapping[str, Any]],
    grid: Mapping[str, Sequence[str]],
) -> None:
    """Raise a PipelineError with every fault of the entries that the grid names, before anything is computed."""
    faults = [fault for name in grid["resamplers"] for fault in _faults("resamplers", name, resamplers[name])]
    faults += [fault for name in grid["heads"] for fault in _faults("heads", name, heads[name])]
    if faults:
        lines = "".join(f"\n  - {fault}" for fault in faults)
        raise PipelineError("params.yaml", f"{len(faults)} in the grid:{lines}", "mend these entries, then run again")


@contextmanager
def threads_each(threads: int) -> Iterator[None]:
    """Every library uses this many threads: how many it gets must not depend on what else runs, or sums differ."""
    import sklearn.preprocessing  # noqa: F401 - a library must be loaded to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


def bind_resampler(name: str, values: Mapping[str, Any]) -> Callable[..., Any]:
    """A resampler with the params of its section."""
    return partial(RESAMPLERS[name], **values)


def bind_head(name: str, values: Mapping[str, Any]) -> Callable[..., Any]:
    """A head with the params of its section."""
    return partial(HEADS[name], **values)


def _faults(section: str, name: str, values: Mapping[str, Any]) -> list[str]:
    registry: Mapping[str, Callable[..., Any]] = {"resamplers": RESAMPLERS, "heads": HEADS}[section]
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return [f"{section}.{name}: there is no such entry; there are {', '.join(registry)}{hint}"]
    wanted = {
        key: parameter.annotation
        for key, parameter in inspect.signature(registry[name]).parameters.items()
        if key not in ("rows", "random_state")
    }
    if set(wanted) != set(values):
        takes, got = ", ".join(wanted) or "no params", ", ".join(values) or "none"
        return [f"{section}.{name}: takes {takes} (got {got})"]
    return [
        f"{section}.{name}.{key}: must be of type {wanted[key].__name__} (got {value!r})"
        for key, value in values.items()
        if not isinstance(value, (int, float) if wanted[key] is float else wanted[key]) or isinstance(value, bool)
    ]

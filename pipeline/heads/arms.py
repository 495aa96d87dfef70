"""An arm in one fold: what it learned from the training rows, and its probabilities of the others."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.heads import combine, search
from pipeline.heads.cases import Cases
from pipeline.heads.classifiers import Constant
from pipeline.heads.fitting import Fitted, Model, fit_pair, predict
from pipeline.heads.named import Arm, Pair, Stack
from pipeline.heads.protocol import Protocol

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MARKS = ("absent", "present")  # the two classes of a label


@dataclass(frozen=True)
class FittedArm:
    """One fold of an arm.

    Attributes:
        models: predict from features as they are cached; one, or one for each label.
        probabilities: of the rows to predict, (m, K) float64; a class without training rows has 0.
        counts_before: training rows of each class, or that have each label, (K,) int.
        counts_after: the same after resampling.
        seconds_resample: wall time.
        seconds_fit: wall time of all else.
        notes: by class number, where what was done is not what was asked for.
        remarks: likewise, of no single class.
        searched: one record for each choice among lists of values.
        absent: of labels, training rows known to have each not, before and after resampling, (2, L) int.
    """

    models: list[Model]
    probabilities: np.ndarray
    counts_before: np.ndarray
    counts_after: np.ndarray
    seconds_resample: float
    seconds_fit: float
    notes: dict[int, str]
    remarks: list[str]
    searched: list[dict[str, Any]]
    absent: np.ndarray | None = None


def fit_fold(
    cases: Cases, train: np.ndarray, rows: np.ndarray, arm: Arm, protocol: Protocol, seed: tuple[int, ...]
) -> FittedArm:
    """Fit on the training rows and predict others.

    Args:
        cases: rows of the fold.
        train: positions to learn from.
        rows: positions to predict; never scaled with their own statistics, never resampled.
        arm: of `named.find`.
        protocol: how values are chosen from lists, and in how many inner folds a stack learns.
        seed: entropy, such as (seed, fold).

    Raises:
        PipelineError: nothing can be learned from these rows.
    """
    fitted = fit(cases, arm, protocol, train, seed)
    return FittedArm(
        [fitted.model],
        predict(fitted.model, cases.X, rows),
        cases.counts(train),
        fitted.counts_after,
        fitted.seconds_resample,
        fitted.seconds_fit,
        fitted.notes,
        fitted.remarks,
        fitted.searched,
    )


def fit(cases: Cases, arm: Arm, protocol: Protocol, rows: np.ndarray, seed: tuple[int, ...]) -> Fitted:
    """Learn an arm of any kind from the rows at these positions."""
    if isinstance(arm, Pair):
        if not search.needed(arm):
            return fit_pair(cases, rows, arm, seed)
        chosen, record = search.choose(cases, rows, arm, protocol, seed)
        fitted = fit_pair(cases, rows, chosen, seed)
        return replace(fitted, seconds_fit=fitted.seconds_fit + record["seconds"], searched=[record])
    members: dict[str, combine.Fit] = {name: partial(fit, cases, one, protocol) for name, one in arm.members.items()}
    if isinstance(arm, Stack):
        return combine.stack(cases, rows, members, arm.C, protocol.folds, seed)
    return combine.vote(cases, rows, members, seed)


def fit_label(
    cases: Cases, train: np.ndarray, rows: np.ndarray, arm: Arm, protocol: Protocol, seed: tuple[int, ...]
) -> FittedArm:
    """Fit one label, absent (0) or present (1), on the training rows where it is known: an arm of two classes.

    Where these rows do not have both, the probability is a constant: (present + 1) / (known + 2), Laplace's rule of
    succession.

    Args:
        cases: rows of the fold; `y` is 1 present, 0 absent, -1 missing, and the classes are MARKS.
        train: positions to learn from.
        rows: positions to predict.
        arm: of `named.find`.
        protocol: as in `fit_fold`.
        seed: entropy, such as (seed, fold, label).
    """
    known = train[cases.y[train] >= 0]
    counts = cases.counts(known)
    if counts.all():
        return fit_fold(cases, known, rows, arm, protocol, seed)
    constant = Constant((counts[1] + 1) / (counts.sum() + 2))
    said = "present in none" if counts[0] else "present in all" if counts[1] else "known of none"
    notes = {1: f"{said} of the training rows, the same probability {constant.present:.3g} for every image"}
    return FittedArm([constant], constant.predict_proba(rows), counts, counts, 0.0, 0.0, notes, [], [])


def join_labels(each: Sequence[FittedArm], names: Sequence[str]) -> FittedArm:
    """The arm of L labels from those of `fit_label`: probabilities and counts of being present, (m, L) and (L,)."""
    return FittedArm(
        [one.models[0] for one in each],
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
        [f"label {name}: {remark}" for name, one in zip(names, each, strict=True) for remark in one.remarks],
        [{"label": name, **record} for name, one in zip(names, each, strict=True) for record in one.searched],
        np.array([[one.counts_before[0] for one in each], [one.counts_after[0] for one in each]]),
    )


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Every library uses one thread: with more of them sums are added in another order, and bits differ.

    Those that are loaded are told so; those that are loaded later read it in the environment.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        with threadpool_limits(1):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

"""One pair: scale on training rows → resample training rows → fit a head; and what is learned, to predict with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads import memory, scaling
from pipeline.heads.budget import refuse_too_large, refuse_too_many
from pipeline.heads.cases import Cases, carve
from pipeline.heads.entries import Entry
from pipeline.heads.named import Pair
from pipeline.heads.resampling.rows import Resampled, Rows
from pipeline.heads.scaling import Scaling

PREDICTED_AT_ONCE = 1 << 16  # rows: what a memory-mapped table is copied in


class Model(Protocol):
    """What predicts from features as they are cached."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, D) float32 → (n, K) float64, rows sum to 1."""
        ...


@dataclass(frozen=True)
class ScaledHead:
    """A fitted head with the scaling of its training rows; a class without training rows has probability 0."""

    scaling: Scaling
    head: Any
    classes: int

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, D) float32 → (n, K) float64."""
        probabilities = np.zeros((len(X), self.classes))
        scaled = self.scaling.scale(np.array(X, np.float32))
        probabilities[:, self.head.classes_] = self.head.predict_proba(scaled)
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 sums to 1 to seven digits only


@dataclass(frozen=True)
class Fitted:
    """What was learned from training rows, and how.

    Attributes:
        model: predicts from features as they are cached.
        counts_after: rows of each class that the head saw, (K,) int.
        seconds_resample: wall time.
        seconds_fit: wall time of all else, a search and the arms of a vote or stack with it.
        notes: by class number, where what was done is not what was asked for.
        remarks: likewise, of no single class.
        searched: one record for each choice among lists of values.
    """

    model: Model
    counts_after: np.ndarray
    seconds_resample: float
    seconds_fit: float
    notes: dict[int, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    searched: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Prepared:
    """Training rows, scaled and resampled."""

    cases: Cases
    rows: np.ndarray  # positions in the cases
    scaling: Scaling
    scaled: Rows
    resample: Callable[..., Resampled]
    resampled: Resampled
    seed: tuple[int, ...]
    seconds: float


def fit_pair(cases: Cases, rows: np.ndarray, pair: Pair, seed: tuple[int, ...]) -> Fitted:
    """Learn from the rows at these positions; no value of the pair is a list to choose from."""
    return fit_head(prepare(cases, rows, pair.resampler, seed), pair.head)


def prepare(cases: Cases, rows: np.ndarray, resampler: Entry, seed: tuple[int, ...]) -> Prepared:
    """Copy and scale the training rows once, and resample them.

    Raises:
        PipelineError: nothing can be learned from them.
    """
    present = np.flatnonzero(cases.counts(rows))
    if len(present) < 2:
        only = f"all of class {cases.classes[present[0]]}" if len(present) else "none"
        raise PipelineError("fit", f"{len(rows)} training rows, {only}: nothing can be told apart", _MORE)
    if len(rows) <= len(present):
        raise PipelineError("fit", f"{len(rows)} training rows for {len(present)} classes are too few", _MORE)
    resample = resampler.bound(cases.classes)
    size, free = len(rows) * cases.X.shape[1] * 4, memory.available()
    if size > free:
        what = f"the training rows take {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free"
        raise PipelineError("fit", what, "use a machine with more memory, or fewer features or images")
    refuse_too_many(resampler, cases.classes, cases.counts(rows), cases.X.shape[1])
    X = scaling.take(cases.X, rows)
    scale = scaling.fit(X)
    scaled = Rows(scale.scale(X), cases.y[rows], cases.patients[rows])
    if not X.any():
        raise PipelineError(
            "fit", "every feature is constant in the training rows", "look at the audit: run `dvc repro audit`"
        )
    start = time.perf_counter()
    resampled = resample(scaled, random_state=_random_state(seed))
    return Prepared(cases, rows, scale, scaled, resample, resampled, seed, time.perf_counter() - start)


def fit_head(prepared: Prepared, entry: Entry) -> Fitted:
    """Fit a head; one with patience learns first when to stop, from patients of whom it learns nothing else."""
    start, classes = time.perf_counter(), len(prepared.cases.classes)
    counts = np.bincount(prepared.resampled.y, minlength=classes)
    refuse_too_large(entry, counts, prepared.resampled.X.shape[1])
    sequence = np.random.SeedSequence(prepared.seed)
    # 31 bits, which is what LightGBM takes
    head = entry.bound(prepared.cases.classes)(random_state=int(sequence.generate_state(1)[0] >> 1))
    remarks = []
    if entry.value("patience") is not None:
        head, remarks = _stopped(prepared, head)
    head.fit(prepared.resampled.X, prepared.resampled.y)
    model = ScaledHead(prepared.scaling, head, classes)
    notes = dict(prepared.resampled.notes)
    for absent in np.flatnonzero(prepared.cases.counts(prepared.rows) == 0).tolist():
        notes[absent] = "no training row: its probability is 0"
    return Fitted(model, counts, prepared.seconds, time.perf_counter() - start, notes, remarks)


def predict(model: Model, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Probabilities of the rows at these positions, (m, K) float64; rows are copied out of `X` a part at a time.

    Raises:
        PipelineError: some are not finite.
    """
    parts = [rows[start : start + PREDICTED_AT_ONCE] for start in range(0, len(rows), PREDICTED_AT_ONCE)]
    found = np.concatenate([model.predict_proba(scaling.take(X, part)) for part in parts])
    if wrong := int((~np.isfinite(found)).any(axis=1).sum()):
        what = f"the head gives {wrong} of {len(found)} rows probabilities that are not finite"
        raise PipelineError("predict", what, "give it a smaller step or a stronger penalty")
    return found


def _stopped(prepared: Prepared, head: Any) -> tuple[Any, list[str]]:
    """The head with the number of rounds that natural rows of other patients speak for."""
    seed = (*prepared.seed, 3, 1)
    learn, stop = carve(prepared.cases, prepared.rows, seed)
    if not stop.any():
        return head, ["no patient could be spared to stop by: all rounds are fitted"]
    X, y, patients = prepared.scaled.X, prepared.scaled.y, prepared.scaled.patients
    resampled = prepared.resample(Rows(X[learn], y[learn], patients[learn]), random_state=_random_state(seed))
    return head.stopped(resampled.X, resampled.y, X[stop], y[stop]), []


def _random_state(seed: Sequence[int]) -> np.random.RandomState:
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(list(seed))))


_MORE = "give the split more images of each class, or name fewer classes in data.classes"

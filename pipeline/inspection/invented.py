"""Rows that the resamplers of the grid make of the training rows of the first fold, as arms learn from them."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from pipeline.errors import PipelineError
from pipeline.features.auditing.evidence import Evidence, Synthetic, stratified
from pipeline.heads import arms, fitting
from pipeline.heads.cases import Cases
from pipeline.heads.entries import Entry
from pipeline.params import Params

log = logging.getLogger(__name__)
SURE = 64  # synthetic rows that tell whether a resampler mixes two parents


def synthetic(evidence: Evidence, params: Params) -> dict[str, list[Synthetic]]:
    """What each resampler of the grid that makes rows makes in the first fold, with the seed of its arms."""
    made: dict[str, list[Synthetic]] = {}
    for name in params.grid.resamplers if (evidence.targets >= 0).any() else []:
        entry = next(Entry("resamplers", name, params.resamplers[name], f"resamplers.{name}").each())
        try:
            found = _made(evidence, entry, params.fit.seed)
        except PipelineError as error:
            log.info("audit: no synthetic rows of %s to look at (%s)", name, error.what)
            continue
        if len(found.labels):
            made[name] = [found]
    return made


def _made(evidence: Evidence, entry: Entry, seed: int) -> Synthetic:
    if not evidence.multilabel:
        known = evidence.targets >= 0
        return _resampled(evidence, entry, evidence.targets, known, evidence.classes, (seed, evidence.fold))
    each = []
    for label, marks in enumerate(evidence.targets.T):
        of_label = (seed, evidence.fold, label)
        if {0, 1} <= set(marks[evidence.role() == "train"].tolist()):
            one = _resampled(evidence, entry, marks, marks >= 0, arms.MARKS, of_label)
            each.append(_with_label(one, label))
    return _joined(each, evidence)


def _resampled(
    evidence: Evidence, entry: Entry, y: np.ndarray, known: np.ndarray, classes: Sequence[str], seed: tuple[int, ...]
) -> Synthetic:
    """What the training rows of the first fold become, or a sample of them where they are many."""
    train = np.flatnonzero((evidence.role() == "train") & known)
    rows = train[stratified(y[train])]
    cases = Cases(evidence.features[evidence.file], y, evidence.groups, evidence.natural, classes)
    resampled = fitting.prepare(cases, rows, entry, seed).resampled
    real = len(resampled.kept)
    space, parents = evidence.space(evidence.file), rows[resampled.parents]
    found = Synthetic(
        resampled.y[real:],
        parents,
        resampled.shares,
        evidence.fold,
        space,
        notes=resampled.notes,
        sample=len(rows) if len(rows) < len(train) else None,
    )
    some = np.linspace(0, len(parents) - 1, min(SURE, len(parents))).astype(int)
    mixed = dataclasses.replace(found, parents=parents[some], shares=resampled.shares[some]).X
    if np.allclose(mixed, resampled.X[real:][some], rtol=1e-3, atol=1e-3):
        return found
    return dataclasses.replace(found, written=np.array(resampled.X[real:]))


def _with_label(one: Synthetic, label: int) -> Synthetic:
    """The rows that have the label, of those with and without."""
    has = one.labels == 1
    written = None if one.written is None else one.written[has]
    notes = {label: one.notes[1]} if 1 in one.notes else {}
    labels = np.full(int(has.sum()), label)
    return dataclasses.replace(
        one, labels=labels, parents=one.parents[has], shares=one.shares[has], written=written, notes=notes
    )


def _joined(each: list[Synthetic], evidence: Evidence) -> Synthetic:
    space = evidence.space(evidence.file)
    if not each:
        return Synthetic(np.zeros(0, int), np.zeros((0, 2), int), np.zeros(0, np.float32), evidence.fold, space)
    written = [one.X for one in each] if any(one.written is not None for one in each) else []
    return Synthetic(
        np.concatenate([one.labels for one in each]),
        np.concatenate([one.parents for one in each]),
        np.concatenate([one.shares for one in each]),
        evidence.fold,
        space,
        np.concatenate(written) if written else None,
        {number: note for one in each for number, note in one.notes.items()},
        max((one.sample for one in each if one.sample), default=None),
    )

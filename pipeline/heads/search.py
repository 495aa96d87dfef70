"""Choice among lists of values, by cross-validation of the training patients."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads.cases import Cases, patient_folds
from pipeline.heads.fitting import fit_head, predict, prepare
from pipeline.heads.named import Pair
from pipeline.heads.protocol import Protocol
from pipeline.heads.refusals import refusals


@dataclass
class _Candidate:
    """One combination of values, and its probabilities of the training rows so far."""

    values: dict[str, dict[str, Any]]  # by `resampler` and `head`
    probabilities: np.ndarray  # (r, K); NaN where no fold has said
    scores: list[float] = field(default_factory=list)  # of each fold
    failure: str = ""

    def score(self, y: np.ndarray, protocol: Protocol) -> float:
        """The figure of all rows that were predicted so far; none for a candidate that failed."""
        said = ~np.isnan(self.probabilities[:, 0])
        if self.failure or not said.any():
            return -np.inf
        found = protocol.score(y[said], self.probabilities[said])
        return -np.inf if np.isnan(found) else found


def needed(pair: Pair) -> bool:
    """Whether a value of the pair is a list to choose from."""
    return bool(pair.resampler.lists or pair.head.lists)


def choose(
    cases: Cases, rows: np.ndarray, pair: Pair, protocol: Protocol, seed: tuple[int, ...]
) -> tuple[Pair, dict[str, Any]]:
    """The pair with the values of the best candidate, and a record of all of them.

    Scaling, resampling and fitting see the other inner folds alone, and augmented views are not predicted. Every
    inner fold tries every combination. Of more than `protocol.most` the folds are taken in turn, and after each but
    the last the worse half goes by the figure over the folds so far, until `most` are left (successive halving,
    Jamieson & Talwalkar 2016, arXiv:1502.07943, with folds as the budget). Chosen is the best over all folds; the
    first of equals.

    Args:
        cases: rows of the fold.
        rows: positions of its training rows.
        pair: with at least one list.
        protocol: folds, figure and budget.
        seed: entropy.

    Raises:
        PipelineError: fewer than two training patients, or no candidate could be fitted.
    """
    start, y = time.perf_counter(), cases.y[rows]
    parts = inner_folds(cases, rows, protocol.folds, (*seed, 1))
    candidates = [_Candidate(values, np.full((len(rows), len(cases.classes)), np.nan)) for values in _product(pair)]
    alive, remarks, fits = candidates, [], 0
    for number, (learn, check) in enumerate(parts):
        said = _degenerate(cases, rows, learn)
        remarks += [f"inner fold {number}: {said}"] if said else []
        if np.count_nonzero(cases.counts(rows[learn])) > 1:
            fits += _try(alive, cases, rows, learn, check, pair, protocol, (*seed, 1, number + 1))
        if number < len(parts) - 1 and len(alive) > protocol.most:
            keep = max(protocol.most, (len(alive) + 1) // 2)
            alive = sorted(alive, key=lambda one: -one.score(y, protocol))[:keep]
    best = max(alive, key=lambda one: one.score(y, protocol))
    if best.score(y, protocol) == -np.inf:
        reason = next((one.failure for one in candidates if one.failure), "no inner fold gives a figure")
        raise PipelineError("fit, search", f"none of {len(candidates)} combinations could be judged: {reason}", _REMEDY)
    record = {
        "metric": protocol.metric,
        "folds": len(parts),
        "candidates": [_describe(one, y, protocol) for one in candidates],
        "chosen": _flat(best.values),
        "fits": fits,
        "seconds": time.perf_counter() - start,
        "remarks": remarks,
    }
    return Pair(pair.resampler.chosen(best.values["resampler"]), pair.head.chosen(best.values["head"])), record


def inner_folds(
    cases: Cases, rows: np.ndarray, folds: int, seed: tuple[int, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per inner fold, positions in `rows` to learn from and natural ones of other patients to predict."""
    patients = len(np.unique(cases.patients[rows]))
    if patients < 2:
        raise PipelineError("fit, inner folds", f"{patients} training patient cannot be parted", _REMEDY)
    of = patient_folds(cases.y[rows], cases.patients[rows], min(folds, patients), seed)
    natural = cases.natural[rows]
    parts = [(np.flatnonzero(of != fold), np.flatnonzero((of == fold) & natural)) for fold in range(of.max() + 1)]
    return [part for part in parts if len(part[1])]


def _product(pair: Pair) -> Iterator[dict[str, dict[str, Any]]]:
    lists = {"resampler": pair.resampler.lists, "head": pair.head.lists}
    each = {
        kind: [dict(zip(of, values, strict=True)) for values in product(*of.values())] for kind, of in lists.items()
    }
    return ({"resampler": one, "head": other} for one in each["resampler"] for other in each["head"])


def _try(
    alive: list[_Candidate],
    cases: Cases,
    rows: np.ndarray,
    learn: np.ndarray,
    check: np.ndarray,
    pair: Pair,
    protocol: Protocol,
    seed: tuple[int, ...],
) -> int:
    """Fit every candidate on one inner fold, those of one resampling together; returns the number of fits."""
    fits = 0
    ways = list({str(one.values["resampler"]): one.values["resampler"] for one in alive}.values())
    for way in ways:
        mine = [one for one in alive if one.values["resampler"] == way and not one.failure]
        try:
            prepared = prepare(cases, rows[learn], pair.resampler.chosen(way), seed)
        except (PipelineError, *refusals()) as error:
            _fail(mine, error)
            continue
        for one in mine:
            fits += 1
            try:
                fitted = fit_head(prepared, pair.head.chosen(one.values["head"]))
                one.probabilities[check] = predict(fitted.model, cases.X, rows[check])
            except (PipelineError, *refusals()) as error:
                _fail([one], error)
            else:
                one.scores.append(protocol.score(cases.y[rows[check]], one.probabilities[check]))
    return fits


def _fail(candidates: list[_Candidate], error: Exception) -> None:
    for one in candidates:
        one.failure = str(error).splitlines()[0]


def _degenerate(cases: Cases, rows: np.ndarray, learn: np.ndarray) -> str:
    absent = (cases.counts(rows) > 0) & (cases.counts(rows[learn]) == 0)
    names = ", ".join(cases.classes[number] for number in np.flatnonzero(absent).tolist())
    return f"no row of class {names} to learn from" if names else ""


def _describe(one: _Candidate, y: np.ndarray, protocol: Protocol) -> dict[str, Any]:
    score, scores = one.score(y, protocol), [score for score in one.scores if not np.isnan(score)]
    return {
        "values": _flat(one.values),
        "score": float(score) if np.isfinite(score) else None,
        "spread": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        "folds": len(one.scores),
        **({"failure": one.failure} if one.failure else {}),
    }


def _flat(values: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {f"{kind}.{key}": value for kind, of in values.items() for key, value in of.items()}


_REMEDY = "give single values in params.yaml instead of lists, or more training patients"

"""Variants of an arm: other decisions from its stored probabilities, fitted on validation rows fold by fold.

What a variant says of a validation row is fitted on the other patients' validation rows: fitting gains nothing there
that it does not gain on new patients, and tuned variants are not selected for their optimism. What it says of test
rows is fitted on all validation rows of the fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import numpy as np

from pipeline.choices import Decision
from pipeline.errors import PipelineError
from pipeline.heads.deciding import calibration
from pipeline.heads.deciding.calibration import Calibrator, Shares
from pipeline.heads.deciding.decisions import RULES, Context, Rule, argmax

GROUPS = 5  # of patients, each decided by what the others taught
NOT_FITTED = ("none", "prior", "argmax", "cost")  # calibrators and rules that validation rows teach nothing
TUNED = ("thresholds", "tilt")
TUNABLE = ("macro_f1", "kappa", "balanced_accuracy_adjusted")
SAME_ORDER = {"balanced_accuracy": "balanced_accuracy_adjusted"}
WHERE = "params.yaml, evaluate.decisions"
PRIOR = Decision("argmax", {}, "prior")


@dataclass(frozen=True)
class Role:
    """The rows of one role, of one fold or of all.

    Attributes:
        labels: classes (n,) int, or marks (n, L) int8: 1 present, 0 absent, -1 missing.
        probabilities: (n, K) or (n, L) float64.
        folds: (n,) int.
        patients: (n,) int.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    folds: np.ndarray
    patients: np.ndarray

    def at(self, rows: np.ndarray) -> "Role":
        """Some of the rows, by position or mask."""
        return Role(self.labels[rows], self.probabilities[rows], self.folds[rows], self.patients[rows])


@dataclass(frozen=True)
class Decided:
    """What a variant says of rows.

    Attributes:
        probabilities: calibrated.
        decided: classes (n,) int, or labels (n, L) bool.
        certainty: of each decision, (n,) or (n, L) float64.
    """

    probabilities: np.ndarray
    decided: np.ndarray
    certainty: np.ndarray


@dataclass(frozen=True)
class Variant:
    """What a variant says of both roles, and its fitted parameters by fold, in plain values."""

    val: Decided
    test: Decided
    fitted: dict[int, dict[str, Any]]


def of_arm(
    given: Sequence[Decision], select: Sequence[str], shares: Mapping[int, Shares], plain: bool = False
) -> list[Decision]:
    """The decisions to take beside argmax: those of params.yaml, and what always stands beside an arm.

    An arm that learned from the natural shares always has its operating point moved too, by thresholds and by a tilt,
    since resampling moves it more than the ranking; one that learned from other shares has its prior corrected back.
    An arm without resampling that learned from augmented views, or by class weights, has all three.

    Args:
        given: those of params.yaml.
        select: metrics that select; what is tuned is tuned for the first of them that a decision changes.
        shares: of the arm's training rows by fold; none where they are not known.
        plain: whether it learns without resampling.
    """
    moved = any(not np.allclose(of.natural, of.fitted) for of in shares.values())
    tuned = [Decision(name) for name in TUNED] if shares and (plain or not moved) else []
    always = [PRIOR, *tuned] if moved else tuned
    completed = [_complete(one, select) for one in [*always, *given] if one.name != "reject"]
    return [one for one in completed if moved or one.calibrate != "prior"]


def _complete(decision: Decision, select: Sequence[str]) -> Decision:
    """With the metric that it is tuned for, where it says none."""
    if decision.name not in TUNED or "metric" in decision.values:
        return decision
    metrics = [SAME_ORDER.get(name, name) for name in select]
    metric = next((name for name in metrics if name in TUNABLE), TUNABLE[0])
    return Decision(decision.name, {"metric": metric}, decision.calibrate)


def make(
    decision: Decision, val: Role, test: Role, shares: Mapping[int, Shares], kappa: str, classes: Sequence[str]
) -> Variant:
    """Decide the rows of every fold.

    Args:
        decision: with its metric, if it has one.
        val: validation rows.
        test: test rows, of the same folds.
        shares: of the training rows by fold; may lack for a decision that asks for none.
        kappa: weighting.
        classes: names of the classes or labels.

    Raises:
        PipelineError: a class that is not there, a cost matrix of the wrong shape, shares that are not known.
    """
    values = _of_classes(decision, classes)
    needs = decision.calibrate == "prior" or decision.name == "tilt"
    of_val, of_test, fitted = _empty(val), _empty(test), {}
    for fold in np.unique(test.folds).tolist():
        if needs and fold not in shares:
            raise PipelineError(WHERE, f"{decision}: the class shares of the training rows are not known", NO_SHARES)
        context = Context(shares.get(fold, Shares(*np.full((2, len(classes)), np.nan))), kappa)
        train = partial(_fit, decision, values, context)
        val_rows, test_rows = np.flatnonzero(val.folds == fold), np.flatnonzero(test.folds == fold)
        here, both = val.at(val_rows), train(val.at(val_rows))
        _put(of_test, test_rows, _apply(both, test.probabilities[test_rows]))
        if not is_fitted(decision):
            _put(of_val, val_rows, _apply(both, here.probabilities))
        else:
            for rows, apart in _crossed(here, train):
                _put(of_val, val_rows[rows], _apply(apart, here.probabilities[rows]))
        fitted[fold] = dict(zip(("calibrator", "rule"), map(_plain, both), strict=True))
    return Variant(of_val, of_test, fitted)


def is_fitted(decision: Decision) -> bool:
    """Whether validation rows teach it anything."""
    return not {decision.calibrate, decision.name} <= set(NOT_FITTED)


NO_SHARES = "drop this entry, or leave the arms without counts in fit.json out of the grid"
Fitted = tuple[Calibrator, Rule]


def groups(labels: np.ndarray, patients: np.ndarray, most: int = GROUPS) -> np.ndarray:
    """Group of each row, (n,) int: patients dealt out in turn, those of the rarest class or label first.

    Args:
        labels: (n,) int, or marks (n, L).
        patients: (n,) int.
        most: groups; fewer where there are fewer patients.
    """
    present = labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(labels.max() + 1)
    rarity = np.argsort(np.argsort(present.sum(axis=0), kind="stable"), kind="stable")
    of_row = np.where(present, rarity, present.shape[1]).min(axis=1)
    _, place = np.unique(patients, return_inverse=True)
    rarest = np.full(place.max() + 1, present.shape[1])
    np.minimum.at(rarest, place, of_row)
    turn = np.empty(len(rarest), int)
    turn[np.argsort(rarest, kind="stable")] = np.arange(len(rarest)) % most
    return turn[place]


def _crossed(rows: Role, train: Any) -> list[tuple[np.ndarray, Fitted]]:
    """Rows of each group of patients, and what the others taught; of one patient nobody teaches anything."""
    turn = groups(rows.labels, rows.patients)
    if not turn.max():
        return [(np.arange(len(turn)), (calibration.Unchanged(), argmax(rows.probabilities, rows.labels)))]
    return [(np.flatnonzero(turn == group), train(rows.at(turn != group))) for group in range(turn.max() + 1)]


def _fit(decision: Decision, values: Mapping[str, Any], context: Context, rows: Role) -> Fitted:
    calibrator = calibration.fit(decision.calibrate, rows.probabilities, rows.labels, context.shares)
    rule = RULES[decision.name](calibrator(rows.probabilities), rows.labels, context, **values)
    return calibrator, rule


def _apply(fitted: Fitted, probabilities: np.ndarray) -> Decided:
    calibrator, rule = fitted
    given = calibrator(probabilities)
    return Decided(given, rule(given), rule.certainty(given))


def _empty(rows: Role) -> Decided:
    shape = rows.labels.shape
    decided = np.zeros(shape, bool if rows.labels.ndim == 2 else int)
    return Decided(np.empty(rows.probabilities.shape), decided, np.empty(shape))


def _put(into: Decided, rows: np.ndarray, part: Decided) -> None:
    into.probabilities[rows] = part.probabilities
    into.decided[rows] = part.decided
    into.certainty[rows] = part.certainty


def _of_classes(decision: Decision, classes: Sequence[str]) -> dict[str, Any]:
    """Its values, with the number of a class for its name."""
    values = dict(decision.values)
    if "class" in values:
        name = values.pop("class")
        if name not in classes:
            near = get_close_matches(name, classes, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PipelineError(
                WHERE, f"{decision}: there is no class {name}{hint}", f"name one of {', '.join(classes)}"
            )
        values["number"] = list(classes).index(name)
    return values


def _plain(fitted: Any) -> dict[str, Any]:
    """Its parameters; the kind says how they are applied."""
    return {"kind": type(fitted).__name__, **asdict(fitted)}

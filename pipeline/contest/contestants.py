"""Arms with each of their decisions, and the judgement of each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import choices, engine
from pipeline.choices import Decision
from pipeline.contest.entries import Entries, Entry
from pipeline.heads.deciding import variants
from pipeline.judge import tally
from pipeline.judge.arms import Judged, Rows, judge
from pipeline.params import Evaluate

MARK = "+"  # between the name of an arm and that of its decision
ARGMAX = Decision("argmax")


@dataclass(frozen=True)
class Contestant:
    """An arm, or an arm with another decision than the most probable class.

    Attributes:
        arm: its name without the decision.
        decision: "" for the arm itself.
        val: its validation rows.
        test: its test rows.
        certainty: of its decisions on validation and on test.
        tuned: whether the decision was fitted on validation.
        fitted: parameters of the decision by fold.
    """

    arm: str
    decision: str
    val: Rows
    test: Rows
    certainty: tuple[np.ndarray, np.ndarray]
    tuned: bool
    fitted: Mapping[int, Mapping[str, Any]]


def names(entries: Entries, how: Evaluate) -> dict[str, tuple[str, Decision]]:
    """Arm and decision of everyone who may enter, by name: `none-logistic`, `none-logistic+thresholds`."""
    wanted = {
        arm: variants.of_arm(how.decisions, how.select, entry.shares, plain=arm.startswith("none-"))
        for arm, entry in entries.arms.items()
    }
    titles = choices.named([one for of in wanted.values() for one in of])
    return {
        f"{arm}{MARK}{title}" if title else arm: (arm, decision)
        for arm, of in wanted.items()
        for title, decision in {"": ARGMAX, **titles}.items()
        if not title or decision in of
    }


def enter(entries: Entries, how: Evaluate, only: Collection[str] | None = None) -> dict[str, Contestant]:
    """Every arm with its decisions, or `only` those of these names, by name."""
    return {
        name: _make(name, entries.arms[arm], arm, decision, entries.classes, how)
        for name, (arm, decision) in names(entries, how).items()
        if only is None or name in only
    }


def judge_all(of: Mapping[str, Contestant], how: Evaluate) -> dict[str, Judged]:
    """Judgement by name; variants of the same probabilities share what does not depend on decisions."""
    judged: dict[str, Judged] = {}
    for name in engine.track(iter(of), len(of), "evaluate"):
        one, arm = of[name], of.get(of[name].arm)
        same = arm and np.array_equal(one.test.predictions.probabilities, arm.test.predictions.probabilities)
        like = judged[one.arm] if one.decision and same else None
        judged[name] = judge(one.val, one.test, how.kappa, how.draws, how.confidence, how.seed, like, how.interval)
    return judged


def _make(name: str, entry: Entry, arm: str, decision: Decision, classes: list[str], how: Evaluate) -> Contestant:
    made = variants.make(decision, _role(entry.val), _role(entry.test), entry.shares, how.kappa, classes)
    return Contestant(
        arm,
        name.removeprefix(arm).removeprefix(MARK),
        _decided(entry.val, made.val),
        _decided(entry.test, made.test),
        (made.val.certainty, made.test.certainty),
        variants.is_fitted(decision),
        made.fitted,
    )


def _role(rows: Rows) -> variants.Role:
    return variants.Role(rows.predictions.labels, rows.predictions.probabilities, rows.folds, rows.patients)


def _decided(rows: Rows, by: variants.Decided) -> Rows:
    return Rows(tally.predictions(rows.predictions.labels, by.probabilities, by.decided), rows.folds, rows.patients)

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from pipeline.contest import verdict
from pipeline.contest.standing import Standing
from pipeline.judge.arms import Judged
from pipeline.judge.comparison import COMPARED
from pipeline.judge.means import OF_CLASS

NONE, TILT, SMOTE, PRIOR, VOTE = "none-mlp", "none-mlp+tilt", "smote-mlp", "smote-mlp+prior", "vote"
BASELINES = {NONE: NONE, TILT: NONE, SMOTE: NONE, PRIOR: NONE, VOTE: ""}


def standing(*ranked: str) -> Standing:
    """Names from best to worst; the figures play no part in who is compared."""
    of = {name: SimpleNamespace(arm=name.partition("+")[0]) for name in ranked}
    return Standing(cast("Any", of), {name: judged(0.5) for name in ranked}, list(ranked), set(), BASELINES)


def judged(value: float, rows: tuple[int, ...] = (90, 10), folds: int = 3) -> Judged:
    test = dict.fromkeys((*verdict.SUMMED, *COMPARED), value)
    by_fold = {str(fold): {"test": dict.fromkeys(COMPARED, value + fold / 100)} for fold in range(folds)}
    table = {"n": np.array(rows), "patients": np.array(rows), "recall": np.arange(len(rows)) / 8}
    parts = {OF_CLASS + "recall": np.zeros((9, len(rows)))}
    draws = dict.fromkeys(COMPARED, np.full(9, value)) | parts
    return Judged({"test": test, "folds": by_fold}, table, draws, sum(rows))


def test_the_leading_are_compared_with_the_selected_one_with_their_baseline_and_with_it_at_its_best():
    families = verdict.families(standing(SMOTE, VOTE, TILT, NONE, PRIOR))  # the prior stands below its arm
    assert families == {
        "selected": [(VOTE, SMOTE), (TILT, SMOTE), (NONE, SMOTE)],
        "baseline": [(SMOTE, NONE), (TILT, NONE)],
        "moved": [(SMOTE, TILT)],
    }


def test_a_selected_decision_is_compared_with_the_best_decision_of_its_baseline_too():
    families = verdict.families(standing(PRIOR, TILT, NONE, SMOTE))
    assert families["moved"] == [(PRIOR, TILT), (SMOTE, TILT)]
    assert families["baseline"] == [(PRIOR, NONE), (TILT, NONE), (SMOTE, NONE)]


def test_a_baseline_that_is_best_as_it_is_makes_no_second_family():
    assert verdict.families(standing(SMOTE, NONE, TILT))["moved"] == []


def test_without_a_baseline_among_the_judged_there_is_only_the_selected_one_to_compare_with():
    assert verdict.families(standing(VOTE, SMOTE)) == {"selected": [(SMOTE, VOTE)], "baseline": [], "moved": []}


def test_the_summary_is_of_the_selected_arm_and_of_the_rarest_class_that_is_there():
    stands = standing(SMOTE, NONE)
    cast("dict[str, Judged]", stands.judged)[SMOTE] = judged(0.75, rows=(90, 0, 10, 11))
    found = verdict.summary(stands)
    assert found["selected"] == SMOTE
    assert [found[name] for name in verdict.SUMMED] == [0.75] * len(verdict.SUMMED)
    assert found["rarest_recall"] == 0.25


def test_ranks_are_of_the_leading_over_folds_in_each_metric_that_is_compared():
    stands = standing(SMOTE, TILT, NONE, PRIOR)
    cast("dict[str, Judged]", stands.judged)[TILT] = judged(0.6)
    found = verdict.ranked(stands, 0.95)
    assert list(found) == list(COMPARED)
    assert found["kappa"]["ranks"] == {TILT: 1, SMOTE: 2.5, NONE: 2.5}
    assert found["kappa"]["folds"] == 3


@pytest.mark.parametrize("folds", [1, 2])
def test_few_folds_have_no_ranks(folds):
    stands = standing(SMOTE, NONE)
    for name in stands.ranked:
        cast("dict[str, Judged]", stands.judged)[name] = judged(0.5, folds=folds)
    assert verdict.ranked(stands, 0.95) == {}

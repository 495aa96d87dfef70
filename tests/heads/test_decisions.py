import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import choices
from pipeline.errors import PipelineError
from pipeline.heads.deciding import decisions
from pipeline.heads.deciding.calibration import Shares
from pipeline.heads.deciding.decisions import RULES, Context, Thresholds, Weights

EVEN = Context(Shares(np.full(3, 1 / 3), np.full(3, 1 / 3)), "quadratic")
RARE = Context(Shares(np.array([0.1, 0.3, 0.6]), np.array([0.1, 0.3, 0.6])), "quadratic")
VALUES = {
    "argmax": {},
    "tilt": {"metric": "balanced_accuracy_adjusted"},
    "thresholds": {"metric": "macro_f1"},
    "sensitivity": {"number": 0, "least": 0.95},
    "specificity": {"number": 0, "least": 0.9},
    "cost": {"matrix": [[0, 1, 2], [3, 0, 1], [9, 1, 0]]},
}


def simulate(rows: int, seed: int, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A head that follows the shares .1, .3, .6 of its classes."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, rows, p=[0.1, 0.3, 0.6])
    x = rng.normal(size=(rows, 3)) + strength * np.eye(3)[labels]
    scores = np.exp(strength * x) * [0.1, 0.3, 0.6]
    return scores / scores.sum(axis=1, keepdims=True), labels


def simulate_labels(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    marks = (rng.random((rows, 3)) < [0.1, 0.3, 0.6]).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-(rng.normal(size=(rows, 3)) + 2 * marks - 2)))
    marks[rng.random((rows, 3)) < 0.2] = -1
    return probabilities, marks


def balanced_accuracy(decided: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean([(decided[labels == number] == number).mean() for number in range(3)]))


def test_the_names_of_rules_at_the_door_are_those_of_the_registry():
    assert [name for name in choices.RULES if name != "reject"] == list(RULES)


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(list(RULES)), rows=st.integers(0, 40), seed=st.integers(0, 10**6), labels=st.booleans())
def test_every_rule_decides_other_rows_however_few_taught_it(name, rows, seed, labels):
    probabilities, truth = (simulate_labels if labels else simulate)(rows, seed)
    values = VALUES[name] | ({"matrix": [[0, 1], [4, 0]]} if labels and name == "cost" else {})
    rule = RULES[name](probabilities, truth, RARE, **values)
    new, _ = (simulate_labels if labels else simulate)(50, seed + 1)
    decided, certainty = rule(new), rule.certainty(new)
    assert decided.shape == certainty.shape == ((50, 3) if labels else (50,))
    assert decided.dtype == bool if labels else set(decided.tolist()) <= {0, 1, 2}
    assert np.isfinite(certainty).all()
    again = pickle.loads(pickle.dumps(rule))
    np.testing.assert_array_equal(again(new), decided)


def test_argmax_takes_the_first_of_equals_and_a_label_above_one_half():
    given_, labels = np.array([[0.4, 0.4, 0.2], [0.1, 0.1, 0.8]]), np.array([0, 0])
    assert RULES["argmax"](given_, labels, EVEN)(given_).tolist() == [0, 2]
    marks = np.zeros((1, 2), np.int8)
    decided = RULES["argmax"](np.zeros((1, 2)), marks, EVEN)(np.array([[0.5, 0.50001]]))
    assert decided.tolist() == [[False, True]]


def test_a_tilt_by_the_shares_is_bayes_for_balanced_accuracy():
    rule = RULES["tilt"](*simulate(4000, 0), RARE, metric="balanced_accuracy_adjusted")
    assert isinstance(rule, Weights)
    np.testing.assert_allclose(np.log(rule.weights[0] / rule.weights[2]) / np.log(6), 1, atol=0.35)
    probabilities, labels = simulate(4000, 1)
    assert balanced_accuracy(rule(probabilities), labels) > 1.1 * balanced_accuracy(probabilities.argmax(1), labels)


def test_a_tilt_of_one_makes_all_classes_and_labels_equally_frequent():
    np.testing.assert_allclose(decisions._tilted(1, RARE.shares, 1).weights, [1, 1 / 3, 1 / 6])
    np.testing.assert_allclose(decisions._tilted(1, RARE.shares, 2).thresholds, [0.1, 0.3, 0.6])


def test_a_tilt_that_gains_nothing_is_none_and_one_of_labels_is_one_number():
    certain, labels = np.eye(3)[[0, 1, 2]] * 0.9 + 0.1 / 3, np.arange(3)
    rule = RULES["tilt"](certain, labels, RARE, metric="macro_f1")
    np.testing.assert_array_equal(rule.weights, [1, 1, 1])
    probabilities, marks = simulate_labels(400, 0)
    rule = RULES["tilt"](probabilities, marks, RARE, metric="macro_f1")
    odds = np.log(rule.thresholds / (1 - rule.thresholds))
    natural = np.log(RARE.shares.natural / (1 - RARE.shares.natural))
    np.testing.assert_allclose(odds / natural, np.full(3, (odds / natural)[0]), atol=1e-6)


def test_the_certainty_of_a_cut_is_the_probability_of_the_class_that_it_decides():
    rule = decisions.Cut(0, 0.1)
    given_ = np.array([[0.1, 0.85, 0.05], [0.7, 0.2, 0.1], [0.05, 0.35, 0.6]])
    assert rule(given_).tolist() == [0, 0, 2]
    assert rule.certainty(given_).tolist() == [0.1, 0.7, 0.6]
    never = decisions.Cut(1, 2.0)
    assert never(given_[:1]).tolist() == [0]
    assert never.certainty(given_[:1]).tolist() == [0.1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.floats(0.05, 1), number=st.integers(0, 2), labels=st.booleans())
def test_sensitivity_is_reached_on_validation_by_the_highest_such_threshold(seed, least, number, labels):
    probabilities, truth = (simulate_labels if labels else simulate)(80, seed)
    rule = RULES["sensitivity"](probabilities, truth, RARE, number=number, least=least)
    own = truth[:, number] == 1 if labels else truth == number
    if not own.any():
        return
    decided = rule(probabilities)
    found = (decided[:, number] if labels else decided == number)[own]
    assert found.mean() >= least - 1e-9
    threshold = rule.thresholds[number] if labels else rule.threshold
    scores = probabilities[own, number]
    higher = scores[scores > threshold]
    assert len(higher) / len(scores) < least


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.floats(0.05, 1), number=st.integers(0, 2), labels=st.booleans())
def test_specificity_is_reached_on_validation_by_the_lowest_such_threshold(seed, least, number, labels):
    probabilities, truth = (simulate_labels if labels else simulate)(80, seed)
    rule = RULES["specificity"](probabilities, truth, RARE, number=number, least=least)
    others = truth[:, number] == 0 if labels else truth != number
    decided = rule(probabilities)
    alarms = (decided[:, number] if labels else decided == number)[others]
    assert 1 - alarms.mean() >= least - 1e-9
    threshold = rule.thresholds[number] if labels else rule.threshold
    scores = probabilities[others, number]
    lower = scores[scores < threshold].max()
    assert (scores < lower).mean() < least


def test_where_one_class_is_cut_the_others_share_what_is_below():
    given_ = np.array([[0.3, 0.3, 0.4], [0.29, 0.5, 0.21], [0.8, 0.1, 0.1]])
    rule = RULES["sensitivity"](given_[:1], np.array([0]), EVEN, number=0, least=1.0)
    assert rule(given_).tolist() == [0, 1, 0]
    high = RULES["specificity"](given_, np.array([1, 1, 1]), EVEN, number=0, least=1.0)
    assert high(given_).tolist() == [2, 1, 1]


def test_bayes_decision_as_by_hand():
    matrix = [[0, 1, 1], [1, 0, 1], [10, 10, 0]]
    rule = RULES["cost"](np.empty((0, 3)), np.empty(0, int), EVEN, matrix=matrix)
    given_ = np.array([[0.7, 0.2, 0.1], [0.7, 0.25, 0.05]])
    # Expected costs of deciding 0, 1, 2: 0.2 + 1, 0.7 + 1, 0.7 + 0.2; and 0.25 + 0.5, 0.7 + 0.5, 0.7 + 0.25.
    assert rule(given_).tolist() == [2, 0]
    np.testing.assert_allclose(-rule.certainty(given_), [0.9, 0.75])


def test_bayes_decision_of_labels_is_a_threshold_as_by_hand():
    # A miss costs 4, an alarm 1: present from 1 / 5 on. A found one that costs 1: from 1 / 4 on.
    marks = np.zeros((0, 2), np.int8)
    rule = RULES["cost"](np.empty((0, 2)), marks, EVEN, matrix=[[0, 1], [4, 0]])
    assert isinstance(rule, Thresholds)
    np.testing.assert_allclose(rule.thresholds, [0.2, 0.2])
    rule = RULES["cost"](np.empty((0, 2)), marks, EVEN, matrix=[[0, 1], [4, 1]])
    np.testing.assert_allclose(rule.thresholds, [0.25, 0.25])


@pytest.mark.parametrize(
    ("matrix", "labels", "message"),
    [
        ([[0, 1], [1, 0]], np.empty(0, int), r"has shape \(2, 2\) and must have \(3, 3\)"),
        (np.ones((3, 3)), np.empty((0, 3), np.int8), r"has shape \(3, 3\) and must have \(2, 2\)"),
        ([[0, 1], [1, 1]], np.empty((0, 3), np.int8), "a wrong decision costs no more than the right one"),
    ],
)
def test_a_cost_matrix_that_makes_no_sense_is_refused(matrix, labels, message):
    with pytest.raises(PipelineError, match=message):
        RULES["cost"](np.empty((0, 3)), labels, EVEN, matrix=matrix)


def test_thresholds_of_labels_are_the_best_cuts_of_each_on_the_rows_where_it_is_known():
    probabilities, marks = simulate_labels(60, 3)
    rule = RULES["thresholds"](probabilities, marks, RARE, metric="macro_f1")
    decided = rule(probabilities)

    def f1(chosen: np.ndarray, truth: np.ndarray) -> float:
        return 2 * (chosen & (truth == 1)).sum() / ((truth == 1).sum() + chosen.sum())

    for label in range(3):
        known = marks[:, label] >= 0
        scores, truth = probabilities[known, label], marks[known, label]
        best = max(f1(scores >= cut, truth) for cut in scores)
        assert f1(decided[known, label], truth) == pytest.approx(best)


@pytest.mark.parametrize("name", ["thresholds", "tilt", "sensitivity", "specificity"])
def test_what_is_said_of_a_row_where_a_label_is_missing_teaches_nothing(name):
    probabilities, marks = simulate_labels(60, 4)
    rule = RULES[name](probabilities, marks, RARE, **VALUES[name])
    masked = np.where(marks < 0, 1 - probabilities, probabilities)
    again = RULES[name](masked, marks, RARE, **VALUES[name])
    np.testing.assert_array_equal(rule.thresholds, again.thresholds)


def test_certainty_is_that_of_the_decision_at_its_operating_point():
    rule = Weights(np.array([4.0, 1.0]))
    np.testing.assert_allclose(rule.certainty(np.array([[0.2, 0.8], [0.5, 0.5]])), [0.5, 0.8])
    of_label = Thresholds(np.array([0.2]))
    np.testing.assert_allclose(of_label.certainty(np.array([[0.2], [0.6], [0.1], [0.0]]))[:, 0], [0, 0.5, 0.5, 1])

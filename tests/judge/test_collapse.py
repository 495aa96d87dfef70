import numpy as np
import pytest

from pipeline.judge import collapse
from pipeline.judge.tally import predictions

NAMES = ["A", "B", "C"]


def flags(labels: list[int], predicted: list[int], kappa: str = "quadratic") -> dict[tuple, float]:
    found = collapse.flags(np.array(labels), np.eye(3)[predicted], NAMES, kappa)
    assert all(flag["operating_point"] == "argmax" for flag in found)
    return {(flag["clause"], flag.get("class")): flag["value"] for flag in found}


def test_a_sound_classifier_raises_no_flag():
    assert flags([0, 1, 2] * 10, [0, 1, 2] * 10) == {}


def test_predicting_one_class_only_fires_every_clause_and_names_the_classes():
    assert flags([0] * 2 + [1] * 4 + [2] * 34, [2] * 40) == pytest.approx(
        {
            ("one_class", "C"): 1.0,
            ("never_predicted", "A"): 0,
            ("never_predicted", "B"): 0,
            ("balanced_accuracy_adjusted", None): 0.0,
            ("kappa", None): 0.0,
            ("class_f1", "A"): 0.0,
            ("class_f1", "B"): 0.0,
        }
    )


def test_macro_f1_fires_below_its_threshold():
    found = flags([0] * 30 + [1] * 5 + [2] * 5, [1] * 30 + [0] * 5 + [2] * 5)
    assert ("macro_f1", None) not in found
    found = flags([0] * 30 + [1] * 5 + [2] * 5, [1] * 30 + [2] * 5 + [0] * 5)
    assert found["macro_f1", None] == 0


@pytest.mark.parametrize(("others", "fires"), [(5, False), (4, True)])
def test_one_class_needs_more_than_95_of_100_predictions(others, fires):
    predicted = [0] * (100 - others) + [1] * (others - 1) + [2]
    assert (("one_class", "A") in flags([0] * 50 + [1] * 30 + [2] * 20, predicted)) == fires


@pytest.mark.parametrize(("hits", "fires"), [(1, True), (2, False)])
def test_class_f1_fires_below_a_tenth(hits, fires):
    labels = [0] * 30 + [1] * 30 + [2] * 30
    predicted = [0] * 30 + [1] * 30 + [2] * hits + [0] * (30 - hits)
    assert (("class_f1", "C") in flags(labels, predicted)) == fires


def test_a_class_without_rows_is_not_neglected():
    assert flags([0, 1] * 10, [0, 1] * 10) == {}


def test_the_threshold_stands_beside_the_value_and_kappa_follows_its_weighting():
    labels, predicted = np.repeat([0, 1, 2], [20, 20, 20]), np.repeat([0, 2, 1, 2, 0], [10, 10, 20, 10, 10])
    probabilities = np.eye(3)[predicted]
    quadratic, unweighted = (
        {flag["clause"]: flag for flag in collapse.flags(labels, probabilities, NAMES, kappa)}
        for kappa in ("quadratic", "none")
    )
    assert quadratic["kappa"]["threshold"] == 0.2
    assert quadratic["kappa"]["value"] < 0.2
    assert "kappa" not in unweighted


def test_one_answer_to_more_than_95_percent_is_constant():
    labels, answers = np.array([0, 1] * 50), np.eye(2)[[0] * 95 + [1] * 5]
    assert not collapse.is_constant(predictions(labels, answers))
    answers[95] = [1, 0]
    assert collapse.is_constant(predictions(labels, answers))


@pytest.mark.parametrize(("found", "fires"), [(10, False), (9, True)])
def test_a_class_of_98_percent_may_be_predicted_as_often_until_half_of_the_others_are_lost(found, fires):
    labels = np.repeat([0, 1], [980, 20])
    answers = np.eye(2)[np.repeat([0, 1], [1000 - found, found])]
    clauses = {flag["clause"]: flag for flag in collapse.flags(labels, answers, ["benign", "malignant"])}
    assert ("one_class" in clauses) == fires
    if fires:
        assert clauses["one_class"]["threshold"] == pytest.approx(0.99)


@pytest.mark.parametrize(("found", "constant"), [(2, False), (1, True)])
def test_an_arm_that_predicts_a_tenth_of_a_rare_class_tries(found, constant):
    labels = np.repeat([0, 1], [980, 20])
    answers = np.eye(2)[np.repeat([0, 1], [1000 - found, found])]
    assert collapse.is_constant(predictions(labels, answers)) == constant


def of_labels(marks: list[list[int]], chosen: list[list[int]]) -> dict[tuple, float]:
    targets, probabilities = np.array(marks, np.int8).T, np.array(chosen, float).T
    found = collapse.flags(targets, probabilities, NAMES[: len(marks)])
    assert all(flag["operating_point"] == "0.5" for flag in found)
    return {(flag["clause"], flag.get("class")): flag["value"] for flag in found}


def test_labels_found_as_they_are_raise_no_flag():
    marks = [[1] * 2 + [0] * 98, [0, 1] * 50]
    assert of_labels(marks, marks) == {}


def test_a_label_never_predicted_and_one_always_predicted_are_named():
    marks = [[1] * 5 + [0] * 95, [1] * 5 + [0] * 95, [0, 1] * 50]
    assert of_labels(marks, [[0] * 100, [1] * 100, [0, 1] * 50]) == pytest.approx(
        {
            ("never_predicted", "A"): 0,
            ("always_predicted", "B"): 1.0,
            ("class_f1", "A"): 0,
            ("class_f1", "B"): 2 * 5 / 105,
        }
    )


def test_missing_marks_fire_nothing_and_count_for_nothing():
    assert of_labels([[-1] * 100, [0, 1] * 50], [[1] * 100, [0, 1] * 50]) == {}
    found = of_labels([[1] * 5 + [0] * 5 + [-1] * 90, [0, 1] * 50], [[1] * 10 + [0] * 90, [0, 1] * 50])
    assert found == {("always_predicted", "A"): 1.0}


def test_the_means_over_labels_have_the_thresholds_of_those_over_classes():
    labels = [0, 1] * 50
    found = of_labels([labels, labels], [labels[::-1], labels[::-1]])
    assert {clause for clause, of in found if of is None} == {"balanced_accuracy_adjusted", "kappa", "macro_f1"}


def test_labels_are_constant_when_each_of_them_is():
    marks = np.tile([[0, 0], [1, 1]], (50, 1)).astype(np.int8)
    no_and_yes = np.tile([0.1, 0.9], (100, 1))
    assert collapse.is_constant(predictions(marks, no_and_yes))
    no_and_yes[:, 1] = marks[:, 1]
    assert not collapse.is_constant(predictions(marks, no_and_yes))


def test_labels_that_are_found_less_than_half_of_the_time_are_tried():
    """As rare findings are at probability 0.5: an arm that finds a third of them is no constant one."""
    marks = np.zeros((300, 2), np.int8)
    marks[:30, 0] = marks[30:45, 1] = 1
    thirds = np.zeros((300, 2))
    thirds[:10, 0] = thirds[30:35, 1] = 1
    assert not collapse.is_constant(predictions(marks, thirds))
    assert collapse.is_constant(predictions(marks, np.zeros((300, 2))))
    thirds[:, 1] = 0
    assert not collapse.is_constant(predictions(marks, thirds))

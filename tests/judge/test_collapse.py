import numpy as np
import pytest

from pipeline.judge import collapse

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
    answers = np.eye(2)[[0] * 95 + [1] * 5]
    assert not collapse.is_constant(answers)
    answers[95] = [1, 0]
    assert collapse.is_constant(answers)

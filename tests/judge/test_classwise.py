import numpy as np
import pytest

from pipeline.judge import classwise, intervals, metrics
from pipeline.judge.tally import Multilabel, Predictions

RANGED = (*classwise.SHARES, *classwise.AREAS)


def table(given: Predictions | Multilabel, patients: np.ndarray, left_out: bool = False) -> dict[str, np.ndarray]:
    point = metrics.point(given, metrics.CLASSWISE)
    draws = intervals.bootstrap(given, patients, metrics.CLASSWISE, 300, 0)
    left = intervals.jackknife(given, patients, metrics.CLASSWISE) if left_out else {}
    return classwise.table(given, patients, point, draws, left, 0.95)


def rare(found: int) -> tuple[Predictions, np.ndarray]:
    """Three patients of class 2 with two images each, of which `found` are; 100 of each other class, all right."""
    labels = np.repeat([0, 1, 2], [100, 100, 6])
    predicted = labels.copy()
    predicted[200 + found :] = 0
    return Predictions(labels, 0.1 + 0.7 * np.eye(3)[predicted]), np.concatenate(
        [np.arange(200), 200 + np.arange(6) // 2]
    )


def test_all_or_none_of_three_patients_is_no_certainty():
    all_found, none_found = table(*rare(6)), table(*rare(0))
    assert (all_found["recall"][2], all_found["recall_high"][2]) == (1, 1)
    assert all_found["recall_low"][2] == pytest.approx(0.2924, abs=1e-4)
    assert none_found["recall_high"][2] == pytest.approx(0.7076, abs=1e-4)
    assert (none_found["f1"][2], none_found["f1_low"][2]) == (0, 0)
    assert none_found["f1_high"][2] == pytest.approx(2 * 0.7076 / 1.7076, abs=1e-4)
    assert all_found["f1_low"][2] == pytest.approx(2 * 0.2924 / 1.2924, abs=1e-4)
    assert np.isnan([none_found[f"precision{end}"][2] for end in ("", "_low", "_high")]).all()


def test_a_class_that_ranks_above_all_others_is_as_sure_as_its_patients_are_many():
    found = table(*rare(6))
    for name in classwise.AREAS:
        assert found[name].tolist() == [1, 1, 1]
        assert found[f"{name}_high"].tolist() == [1, 1, 1]
        assert found[f"{name}_low"][2] == pytest.approx(0.025 ** (1 / 3))
        assert found[f"{name}_low"][0] == pytest.approx(0.025 ** (1 / 100))


def test_no_interval_has_width_zero_and_each_holds_its_figure():
    for found in range(7):
        columns = table(*rare(found))
        for name in RANGED:
            low, value, high = (columns[f"{name}{end}"] for end in ("_low", "", "_high"))
            there = ~np.isnan(value)
            assert ((low <= value + 1e-12) & (value <= high + 1e-12))[there].all(), (found, name)
            assert (high - low > 0.005)[there].all(), (found, name)


def test_a_class_of_fewer_than_ten_patients_is_marked():
    labels = np.repeat([0, 1, 2], [30, 10, 9])
    found = table(Predictions(labels, np.eye(3)[labels]), np.arange(49))
    assert found["patients"].tolist() == [30, 10, 9]
    assert found["few"].tolist() == [False, False, True]


def test_of_two_classes_the_second_alone_has_areas():
    labels = np.repeat([0, 1], 40)
    found = table(Predictions(labels, np.random.default_rng(0).dirichlet([1, 1], 80)), np.arange(80))
    for name in classwise.AREAS:
        for end in ("", "_low", "_high"):
            assert np.isnan(found[f"{name}{end}"]).tolist() == [True, False]


def test_areas_of_labels_rest_on_the_patients_where_they_are_known():
    marks = np.full((40, 2), -1, np.int8)
    marks[:, 0], marks[:6, 1] = np.arange(40) % 2, [0, 0, 0, 0, 1, 1]
    found = table(Multilabel(marks, marks * 0.4 + 0.5), np.arange(40) // 2)
    assert found["rows"].tolist() == [40, 6]
    assert found["auc_low"] == pytest.approx([0.025 ** (1 / 20), 0.025])
    assert found["specificity_low"][1] == pytest.approx(0.025 ** (1 / 2))


def test_areas_of_a_label_that_nearly_all_have_rest_on_the_others():
    marks = np.repeat(np.array([[1], [0]], np.int8), [40, 4], axis=0)
    found = table(Multilabel(marks, marks * 0.4 + 0.5), np.arange(44))
    assert found["auc_low"] == pytest.approx([0.025 ** (1 / 4)])


def test_bca_intervals_move_those_of_areas_alone():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 200, p=[0.1, 0.3, 0.6])
    given = Predictions(labels, rng.dirichlet([1, 1, 1], 200) * 0.6 + 0.4 * np.eye(3)[labels])
    plain, moved = (table(given, np.arange(200) // 2, left_out) for left_out in (False, True))
    for name in RANGED:
        assert (plain[f"{name}_low"] != moved[f"{name}_low"]).any() == (name in classwise.AREAS)

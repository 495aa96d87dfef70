import numpy as np
import pytest

from pipeline.heads.deciding import shares

CLASSES = ["A", "B", "C"]
FOLD = {
    "fold": 2,
    "counts_before": {"A": 10, "B": 30, "C": 60},
    "counts_after": {"A": 60, "B": 60, "C": 60},
}


def test_shares_are_those_of_the_rows_before_and_after_resampling():
    found = shares.of_fit({"folds": [FOLD], "head": {"name": "logistic", "C": 1}}, CLASSES)
    assert list(found) == [2]
    np.testing.assert_allclose(found[2].natural, [0.1, 0.3, 0.6])
    np.testing.assert_allclose(found[2].fitted, [1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [0.1, 0.3, 0.6]),
        ({"class_weight": "balanced"}, [1 / 3, 1 / 3, 1 / 3]),
        ({"class_weight": {"A": 6.0}}, [0.4, 0.2, 0.4]),
        ({"cost": [[0, 3, 3], [1, 0, 0], [0, 1, 0]]}, [0.4, 0.2, 0.4]),
    ],
)
def test_class_weights_and_costs_count_as_rows(values, expected):
    natural = {**FOLD, "counts_after": FOLD["counts_before"]}
    report = {"folds": [natural], "head": {"name": "logistic", **values}}
    np.testing.assert_allclose(shares.of_fit(report, CLASSES)[2].fitted, expected)
    chosen = {f"head.{key}": value for key, value in values.items()}
    searched = {"folds": [{**natural, "searched": [{"chosen": chosen}]}], "head": {"class_weight": [None, "balanced"]}}
    if values:
        np.testing.assert_allclose(shares.of_fit(searched, CLASSES)[2].fitted, expected)


def test_shares_of_labels_are_those_of_being_present_where_it_is_known():
    fold = {
        **FOLD,
        "counts_after": {"A": 90, "B": 30, "C": 60},
        "absent_before": {"A": 90, "B": 30, "C": 20},
        "absent_after": {"A": 90, "B": 30, "C": 20},
    }
    found = shares.of_fit({"folds": [fold], "head": {"name": "logistic"}}, CLASSES)[2]
    np.testing.assert_allclose(found.natural, [0.1, 0.5, 0.75])
    np.testing.assert_allclose(found.fitted, [0.5, 0.5, 0.75])
    weighted = {"folds": [fold], "head": {"class_weight": {"present": 3.0}}}
    np.testing.assert_allclose(shares.of_fit(weighted, CLASSES)[2].fitted, [0.75, 0.75, 0.9])


def test_the_natural_shares_are_those_without_augmented_views():
    fold = {**FOLD, "counts_natural": {"A": 5, "B": 35, "C": 60}}
    found = shares.of_fit({"folds": [fold], "head": {"name": "logistic"}}, CLASSES)[2]
    np.testing.assert_allclose(found.natural, [0.05, 0.35, 0.6])
    absent = {"A": 90, "B": 30, "C": 20}
    labels = {**fold, "absent_natural": {"A": 95, "B": 65, "C": 60}, "absent_before": absent, "absent_after": absent}
    found = shares.of_fit({"folds": [labels], "head": {"name": "logistic"}}, CLASSES)[2]
    np.testing.assert_allclose(found.natural, [0.05, 0.35, 0.5])
    np.testing.assert_allclose(found.fitted, [0.4, 2 / 3, 0.75])


def test_a_class_weight_chosen_for_one_label_is_not_that_of_another():
    absent = {"A": 90, "B": 30, "C": 20}
    searched = [
        {"label": label, "chosen": {"head.class_weight": weight}}
        for label, weight in zip(CLASSES, [None, {"present": 3.0}, "balanced"], strict=True)
    ]
    fold = {**FOLD, "counts_after": FOLD["counts_before"], "absent_before": absent, "absent_after": absent}
    report = {"folds": [{**fold, "searched": searched}], "head": {"class_weight": [None, {"present": 3.0}, "balanced"]}}
    np.testing.assert_allclose(shares.of_fit(report, CLASSES)[2].fitted, [0.1, 0.75, 0.5])


@pytest.mark.parametrize("kind", ["vote", "stack"])
def test_shares_of_a_vote_or_a_stack_are_the_natural_ones_whatever_its_arms_chose(kind):
    searched = [{"arm": "one", "chosen": {"head.class_weight": "balanced"}}]
    views = {"counts_natural": {"A": 5, "B": 35, "C": 60}, "counts_after": FOLD["counts_before"]}
    found = shares.of_fit({"folds": [{**FOLD, **views, "searched": searched}], kind: {}}, CLASSES)[2]
    np.testing.assert_allclose(found.natural, [0.05, 0.35, 0.6])
    np.testing.assert_allclose(found.fitted, found.natural)


def test_without_counts_there_are_no_shares():
    assert shares.of_fit({"folds": [{"fold": 0}]}, CLASSES) == {}

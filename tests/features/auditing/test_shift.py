"""A shifted scanner, a backbone that has learned its rows by heart, rows that are noise: each is found and named."""

import dataclasses

import numpy as np
import pytest
from features.auditing import sets

from pipeline.features.auditing import outliers, samples, shift

THRESHOLD, GAP, FAR = 0.7, 0.2, 0.01


def moved(where, by=2.5, seed=0, **how):
    """A set whose rows in `where` (a function of the evidence, (N,) bool) lie elsewhere; and which they are."""
    evidence = sets.clean(seed, **how)
    X, rows = np.array(evidence.features["fold-0"]), where(evidence)
    X[rows, 15] += by
    return sets.with_features(evidence, X), rows


def new_scanner(evidence):
    return (evidence.targets == 0) & (evidence.role() == "test")


def test_a_class_that_comes_from_another_scanner_in_test_is_named_with_its_rows():
    evidence, rows = moved(new_scanner)
    finding = shift.shift(evidence, THRESHOLD)
    assert finding.verdict == "look"
    assert finding.value > 0.9
    assert finding.finding.startswith("common is another in test than in ")
    assert "likewise" not in finding.finding
    assert set(finding.rows) <= sets.ids(evidence, rows)
    assert len(finding.rows) > 0.9 * rows.sum()
    assert set(finding.table["class"]) == {"common"}
    assert list(finding.table) == list(shift.COLUMNS)


def test_rows_of_the_shifted_scanner_stand_first_where_only_some_are_shifted():
    def third(evidence):
        return new_scanner(evidence) & (evidence.groups % 3 == 0)

    evidence, rows = moved(third, by=8.0)
    table = shift.shift(evidence, 0.55).table
    first = table[table["against"] == "train"]["image_id"][: rows.sum() // 2]
    assert set(first) <= sets.ids(evidence, rows)


def test_the_discrepancy_sees_the_shift_too():
    figures = shift.shift(moved(new_scanner)[0], THRESHOLD).figures
    assert figures["common"]["val-test"]["mmd_p"] == 0.005  # the least of 199 permutations
    assert figures["common"]["train-val"]["mmd_p"] > 0.05
    assert figures["middle"]["val-test"]["mmd_p"] > 0.01


def by_heart(evidence):
    return evidence.role() == "train"


def test_training_rows_that_were_learned_by_heart_are_a_gap_and_no_shift():
    evidence, _ = moved(by_heart, trained=True)
    gap, shifted = shift.overfit_gap(evidence, GAP), shift.shift(evidence, THRESHOLD)
    assert (gap.verdict, shifted.verdict) == ("look", "ok")
    assert gap.value > 0.3
    assert "a head that learns from these rows is too sure of itself" in gap.finding
    assert shifted.finding.endswith("only validation against test, since the backbone has learned from training rows.")
    assert gap.figures["common"]["train_val"] > 0.9


def test_of_a_frozen_backbone_the_same_rows_are_a_shift_and_no_gap():
    evidence, _ = moved(by_heart)
    assert shift.shift(evidence, THRESHOLD).verdict == "look"
    gap = shift.overfit_gap(evidence, GAP)
    assert (gap.value, gap.verdict) == (0.0, "ok")
    assert gap.finding == "fold-0.npy is of a backbone that learned from no row here."


def test_a_shift_between_validation_and_test_is_no_gap():
    evidence, _ = moved(lambda evidence: evidence.role() == "test", trained=True)
    assert shift.overfit_gap(evidence, GAP).verdict == "ok"
    assert shift.shift(evidence, THRESHOLD).verdict == "look"


def test_classes_with_few_patients_in_a_role_are_left_out_and_said():
    evidence = sets.clean(1, shares=(0.9, 0.08, 0.02))
    assert "too few rows or patients of " in shift.shift(evidence, THRESHOLD).finding
    assert "rare" in shift.shift(evidence, THRESHOLD).finding.split("too few")[1]


def null(count, patients=45, width=12):
    """p-values of two samples that are of one distribution, three rows of each patient."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(patients), 3)
        Z = (0.6 * rng.normal(size=(patients, width))[groups] + rng.normal(size=(len(groups), width))).astype("f4")
        yield Z, (rng.permutation(patients) < patients // 3)[groups], groups


def test_p_values_are_right_where_rows_of_a_patient_are_alike():
    told = np.array([samples.told_apart(*sample, draws=99).p for sample in null(150)])
    mmd = np.array([samples.discrepancy(*sample, draws=99)[1] for sample in null(150)])
    for p in (told, mmd):
        assert (p <= 0.05).mean() < 0.1
        assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.12)


def test_holm_is_that_of_the_textbook():
    assert samples.holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_discrepancy_of_two_points_is_that_by_hand():
    """Two patients of each sample at 0 and 1: the median squared distance is 1, the kernel exp(-1/2) between them."""
    Z = np.array([[0.0], [0.0], [1.0], [1.0]], np.float32)
    value, _ = samples.discrepancy(Z, np.array([False, False, True, True]), np.arange(4))
    assert value == pytest.approx(np.sqrt(2 - 2 * np.exp(-0.5)))


def noise(evidence, count=9):
    X, rows = np.array(evidence.features["fold-0"]), np.arange(5, 5 + 40 * count, 40)
    X[rows] = np.random.default_rng(0).normal(size=(count, sets.WIDTH)) * 12
    return sets.with_features(evidence, X), rows


def test_rows_of_noise_are_the_outliers_and_no_others():
    evidence, rows = noise(sets.clean(0))
    finding = outliers.outliers(evidence, FAR)
    assert finding.verdict == "look"
    assert set(finding.rows) == sets.ids(evidence, rows)
    assert finding.value == pytest.approx(9 / 600)
    assert finding.table["deviations"].is_monotonic_decreasing
    assert (finding.table["times"] > 2).all()
    assert "9 of 600" in finding.finding


def test_a_row_amid_another_class_is_no_outlier_of_the_set_but_far_from_its_class():
    evidence = sets.clean(1, apart=30)
    y = evidence.targets.copy()
    y[100] = (y[100] + 1) % 3
    finding = outliers.outliers(dataclasses.replace(evidence, targets=y), FAR)
    assert finding.rows[0] == evidence.rows["image_id"][100]


def test_the_distance_is_that_of_mahalanobis_in_the_spread_of_the_core():
    """A large class, whose covariance is hardly shrunk, against scipy's distance with the true one."""
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(0)
    mix = np.array([[3.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.5, 0.2]])
    Z = (rng.normal(size=(4000, 3)) @ mix.T).astype(np.float32)
    found = outliers.distances(Z, np.zeros(len(Z), int))
    true = np.array([mahalanobis(row, np.zeros(3), np.linalg.inv(mix @ mix.T)) for row in Z[:200]])
    assert np.corrcoef(found[:200], true)[0, 1] > 0.97


def test_deviations_are_robust_and_of_each_stratum():
    distance = np.r_[np.exp(np.arange(-5, 6) / 10), np.exp(2 + np.arange(-5, 6) / 10)]
    deviations, times = outliers.deviations(distance, np.repeat([0, 1], 11))
    assert deviations[:11] == pytest.approx(deviations[11:])
    assert times[10] == pytest.approx(np.exp(0.5))
    assert deviations[10] == pytest.approx(0.5 / (1.4826 * 0.3))

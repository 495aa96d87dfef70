"""A marker that goes along with a class is named, with its images; one that does not, or can't be seen, is not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from features.auditing import sets
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.auditing import shortcuts
from pipeline.features.auditing.learning import auc

THRESHOLD = 0.8


def marked(seen=4.0, of=0.9, others=0.05, seed=0):
    """Most images of the rare class bear a marker, which moves their features by `seen` deviations."""
    evidence = sets.clean(seed)
    rng = np.random.default_rng(seed)
    marker = rng.random(len(evidence.targets)) < np.where(evidence.targets == 2, of, others)
    X = np.array(evidence.features["fold-0"])
    X[:, 20] += seen * marker
    text = np.where(marker, "YES", "NO")
    with_marker = dataclasses.replace(evidence, nuisances=evidence.nuisances.assign(burned_in=text))
    return sets.with_features(with_marker, X), marker


def test_a_marker_in_one_class_is_named_with_the_images_that_bear_it():
    evidence, marker = marked()
    finding = shortcuts.shortcuts(evidence, THRESHOLD)
    assert finding.verdict == "look"
    assert finding.value > 0.95
    assert set(finding.rows) == sets.ids(evidence, marker & (evidence.targets == 2))
    assert "The features tell burned_in" in finding.finding
    assert "most of all rare with YES" in finding.finding
    assert list(finding.table) == list(shortcuts.COLUMNS)
    assert set(finding.table["label"]) == {"rare"}
    assert finding.table["probability"].is_monotonic_decreasing


def test_a_marker_that_the_features_do_not_show_is_no_shortcut():
    """They tell the class, and so the marker, but not among images of one class."""
    evidence, _ = marked(seen=0)
    finding = shortcuts.shortcuts(evidence, THRESHOLD)
    figures = finding.figures["burned_in"]
    assert finding.verdict == "ok"
    assert figures["auc"] > 0.8
    assert figures["auc_within_class"] < 0.65
    assert figures["cramers_v"] > 0.6
    assert "burned_in goes along with the label" in finding.finding


def test_a_marker_that_is_on_all_of_one_class_and_on_nothing_else_is_a_shortcut_if_the_class_is_told():
    evidence, _ = marked(seen=0, of=1.0, others=0.0)
    finding = shortcuts.shortcuts(evidence, THRESHOLD)
    assert finding.figures["burned_in"]["auc_within_class"] is None
    assert finding.verdict == "look"


def test_what_is_plain_to_see_but_goes_along_with_no_class_is_no_shortcut():
    evidence = sets.clean(1)
    X = np.array(evidence.features["fold-0"])
    X[:, 21] += 6.0 * (evidence.nuisances["laterality"] == "L")
    finding = shortcuts.shortcuts(sets.with_features(evidence, X), THRESHOLD)
    assert finding.verdict == "ok"
    assert finding.value == 0.5
    assert finding.figures["laterality"]["auc"] > 0.99
    assert "laterality is told best" in finding.finding


def test_what_goes_along_with_a_class_but_loosely_is_no_shortcut():
    """However sure it is that it does, and however plain to see."""
    evidence, _ = marked(of=0.55, others=0.35)
    finding = shortcuts.shortcuts(evidence, THRESHOLD)
    figures = finding.figures["burned_in"]
    assert 0.05 < figures["cramers_v"] < shortcuts.ASSOCIATED
    assert figures["p"] == 1 / (shortcuts.DRAWS + 1)
    assert figures["auc_within_class"] > 0.9
    assert finding.verdict == "ok"


def test_scanners_of_whole_patients_are_permuted_by_patient():
    """Ten images of each patient: taken for independent, any scanner would go along with any label."""
    rng = np.random.default_rng(0)
    p_rows, p_patients = [], []
    for _ in range(40):
        groups = np.repeat(np.arange(30), 10)
        y, scanner = rng.integers(0, 2, 30)[groups], rng.integers(0, 2, 30)[groups]
        p_patients.append(shortcuts.permuted_p(y, scanner, groups, draws=99))
        p_rows.append(shortcuts.permuted_p(y, scanner, np.arange(300), draws=99))
    assert np.mean(np.array(p_patients) <= 0.05) < 0.15
    assert np.mean(np.array(p_rows) <= 0.05) > 0.3


def test_constant_and_scattered_nuisances_are_skipped_and_said():
    evidence = sets.clean(2)
    folders = [f"P{patient:04d}" for patient in evidence.groups]
    finding = shortcuts.shortcuts(
        dataclasses.replace(evidence, nuisances=evidence.nuisances.assign(folder=folders)), THRESHOLD
    )
    assert finding.figures["skipped"] == {
        "bits_stored": "always 12",
        "folder": "200 values, at most one of them in 5 patients",
    }
    assert finding.finding.endswith(
        "Not looked at: bits_stored (always 12); folder (200 values, at most one of them in 5 patients)."
    )


def test_folders_that_are_the_label_are_no_shortcut():
    evidence = sets.clean(2)
    folders = [f"train/{sets.CLASSES[label].upper()}" for label in evidence.targets]
    finding = shortcuts.shortcuts(
        dataclasses.replace(evidence, nuisances=evidence.nuisances.assign(folder=folders)), THRESHOLD
    )
    assert finding.figures["skipped"]["folder"] == "it is the label"
    assert finding.verdict == "ok"


def test_rare_values_are_pooled():
    given_values = np.array(["A"] * 60 + ["B"] * 40 + ["C"] * 12 + ["D"] * 12 + [""] * 30)
    groups = np.arange(len(given_values)) // 2
    (values, names), why = shortcuts.pooled(given_values, groups, np.arange(len(groups)))
    assert names == ["A", "B", "not given", "others"]
    assert np.bincount(values).tolist() == [60, 40, 30, 24]
    assert why == ""


def test_too_few_rare_values_to_be_pooled_are_left_out():
    (values, names), _ = shortcuts.pooled(np.array(["A"] * 60 + ["B"] * 40 + ["C"] * 4), np.arange(104), np.arange(104))
    assert names == ["A", "B"]
    assert set(values[-4:]) == {-1}


def test_of_several_labels_the_one_that_goes_along_is_named():
    evidence, _ = marked()
    marks = np.stack([evidence.targets == 1, evidence.targets == 2], axis=1).astype(np.int8)
    finding = shortcuts.shortcuts(dataclasses.replace(evidence, targets=marks, classes=("Mass", "Nodule")), THRESHOLD)
    assert finding.figures["burned_in"]["label"] == "Nodule"
    assert finding.figures["burned_in"]["most_together"] == ["Nodule", "YES"]


def test_the_corrected_v_is_that_of_the_paper():
    """By hand, of 2 × 2 counts [[30, 10], [10, 30]]: χ² = 20, φ² = 0.25 - 1/79, r = k = 2 - 1/79."""
    y, values = np.repeat([0, 0, 1, 1], [30, 10, 10, 30]), np.repeat([0, 1, 0, 1], [30, 10, 10, 30])
    assert shortcuts.cramers_v(y, values) == pytest.approx(np.sqrt((0.25 - 1 / 79) / (1 - 1 / 79)))
    assert shortcuts.cramers_v(y, y) == pytest.approx(1.0)
    assert shortcuts.cramers_v(y, np.zeros(80, int)) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_that_of_scipy(pairs):
    scores, positive = np.array([score for score, _ in pairs], float), np.array([side for _, side in pairs])
    if positive.all() or not positive.any():
        assert np.isnan(auc(scores, positive))
    else:
        u = scipy.stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
        assert auc(scores, positive) == pytest.approx(u / (positive.sum() * (~positive).sum()))


def test_chi_square_is_that_of_scipy():
    table = np.array([[12, 5, 3], [4, 9, 7]])
    assert shortcuts._chi2(table) == pytest.approx(scipy.stats.chi2_contingency(table).statistic)


def test_without_labels_or_nuisances_nothing_is_claimed():
    evidence = sets.clean(3)
    bare = dataclasses.replace(evidence, nuisances=pd.DataFrame({"image_id": evidence.rows["image_id"]}))
    assert shortcuts.shortcuts(bare, THRESHOLD).finding == (
        "Nothing that the features should not tell differs from image to image."
    )
    blind = dataclasses.replace(evidence, targets=np.zeros(0, int), classes=())
    assert shortcuts.shortcuts(blind, THRESHOLD).finding == "There are no labels that anything could go along with."

"""Flipped labels stand at the top of the table; rare classes are not doubted for being rare."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from features.auditing import sets
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.auditing import labels
from pipeline.features.auditing.learning import dealt

THRESHOLD = 0.02


def flipped(seed=1, count=25, **how):
    """A clean set in which some labels are of the next class; and where."""
    evidence = sets.clean(seed, apart=9, **how)
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(evidence.targets), count, replace=False)
    y = evidence.targets.copy()
    y[wrong] = (y[wrong] + 1) % 3
    return dataclasses.replace(evidence, targets=y), wrong


def test_flipped_labels_are_named_and_stand_first():
    evidence, wrong = flipped()
    finding = labels.suspicious_labels(evidence, THRESHOLD)
    assert finding.verdict == "look"
    assert set(finding.rows[:20]) <= sets.ids(evidence, wrong)
    assert len(set(finding.rows) & sets.ids(evidence, wrong)) >= 16  # of 25
    assert len(finding.rows) <= 27


def test_the_table_suggests_the_class_that_was_taken_away():
    evidence, wrong = flipped()
    table = labels.suspicious_labels(evidence, THRESHOLD).table
    truth = dict(zip(evidence.rows["image_id"].iloc[wrong], (evidence.targets[wrong] - 1) % 3, strict=True))
    named = table[table["image_id"].isin(truth)]
    assert (named["suggested"] == [sets.CLASSES[truth[image]] for image in named["image_id"]]).mean() > 0.95
    assert list(table) == list(labels.COLUMNS)
    assert (table["confidence"] > table["given"]).all()
    first = named.iloc[0]
    assert first["neighbours"].startswith(first["suggested"])


def test_a_rare_class_that_overlaps_with_a_common_one_is_not_doubted_as_a_whole():
    evidence = sets.clean(3, apart=2.5, shares=(0.9, 0.06, 0.04))
    figures = labels.suspicious_labels(evidence, THRESHOLD).figures["label"]["classes"]
    assert figures["rare"]["rows"] > 15
    assert figures["rare"]["share"] < 0.25
    plain = np.eye(3)[np.zeros(len(evidence.targets), int)] * 0.94 + 0.02  # a model that knows the shares alone
    said = labels.opinions(plain, np.ones((len(plain), 3)), evidence.targets)
    assert not said.suspicious.any()


def test_one_flipped_label_is_found_though_the_verdict_stays_ok():
    evidence = sets.clean(2, apart=9)
    y = evidence.targets.copy()
    y[77] = (y[77] + 1) % 3
    finding = labels.suspicious_labels(dataclasses.replace(evidence, targets=y), THRESHOLD)
    assert finding.verdict == "ok"
    assert finding.rows[0] == evidence.rows["image_id"][77]


def test_each_of_several_labels_is_looked_at_and_the_doubted_one_named():
    evidence = sets.clean(4, apart=9)
    marks = np.stack([evidence.targets == 0, evidence.targets == 2], axis=1).astype(np.int8)
    wrong = np.flatnonzero(marks[:, 1] == 0)[::25]
    marks[wrong, 1] = 1
    marks[-30:, 0] = -1
    several = dataclasses.replace(evidence, classes=("Mass", "Nodule"), targets=marks)
    finding = labels.suspicious_labels(several, THRESHOLD)
    assert set(finding.figures) == {"Mass", "Nodule"}
    assert finding.figures["Mass"]["rows"] == len(marks) - 30
    assert finding.finding.startswith("Labels of Nodule that")
    assert set(finding.rows[:10]) <= sets.ids(several, wrong)
    assert set(finding.table["label"][:10]) == {"Nodule"}
    assert set(finding.table["suggested"][:10]) == {"no Nodule"}


def test_the_confident_joint_is_that_of_cleanlab():
    """Probabilities in which thresholds differ by class; the result is that of cleanlab 2.9.0."""
    P = np.array([[0.8, 0.2], [0.6, 0.4], [0.45, 0.55], [0.3, 0.7], [0.1, 0.9], [0.35, 0.65], [0.55, 0.45]])
    suggested, thresholds = labels.confident(P, np.array([0, 0, 0, 0, 1, 1, 1]))
    assert thresholds == pytest.approx([0.5375, 2 / 3])
    assert suggested.tolist() == [0, 0, 0, 1, 1, 1, 0]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 99), st.integers(1, 99)), min_size=3, max_size=40))
def test_a_row_is_counted_to_a_class_that_is_probable_enough_or_to_its_own(rows):
    y = np.array([label for label, _, _ in rows])
    P = np.array([(first, second, 100.0) for _, first, second in rows])
    P /= P.sum(axis=1, keepdims=True)
    suggested, thresholds = labels.confident(P, y)
    for row, (own, said) in enumerate(zip(y, suggested, strict=True)):
        assert said == own or P[row, said] >= thresholds[said] - 1e-6


def test_a_class_of_a_single_patient_is_not_judged_and_said():
    evidence = sets.clean(5)
    y = np.where(evidence.targets == 2, 0, evidence.targets)
    y[evidence.groups == 7] = 2
    finding = labels.suspicious_labels(dataclasses.replace(evidence, targets=y), THRESHOLD)
    assert "not judged, for having a single patient: rare" in finding.finding
    assert not sets.ids(evidence, evidence.groups == 7) & set(finding.rows)


def test_neighbours_of_the_same_patient_have_no_say():
    evidence = sets.clean(6)
    X = np.array(evidence.features["fold-0"])
    X[3:6] = X[3]  # the images of a patient are one
    question = next(iter(labels.questions(evidence)))
    votes = labels.neighbours_labels(sets.with_features(evidence, X), question, np.arange(len(X)))
    assert votes[3].sum() == 13  # fifteen neighbours, of which two are of the patient
    assert votes.sum(axis=1).max() == 15


def test_patients_are_dealt_whole_and_each_fold_has_its_share_of_each_class():
    evidence = sets.clean(7)
    fold = dealt(evidence.targets, evidence.groups)
    assert all(len(set(fold[evidence.groups == patient])) == 1 for patient in range(sets.PATIENTS))
    counts = np.array([np.bincount(evidence.targets[fold == number], minlength=3) for number in range(5)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= sets.IMAGES).all()


def test_a_fine_tuned_backbone_is_asked_about_rows_that_it_has_not_learned_from():
    """The file of fold 0 knows nothing; that of fold 1 does, and has not seen the training rows of fold 0."""
    evidence, _ = flipped(8)
    other = evidence.roles.assign(
        fold=1, role=evidence.roles["role"].map({"train": "val", "val": "train", "test": "train"})
    )
    noise = np.random.default_rng(0).normal(size=evidence.features["fold-0"].shape).astype(np.float32)
    both = dataclasses.replace(
        evidence,
        features={"fold-0": evidence.features["fold-0"], "fold-1": noise},
        roles=pd.concat([evidence.roles, other], ignore_index=True),
    )
    P = labels._probabilities(both, next(iter(labels.questions(both))), np.arange(len(noise)))
    sharp, role = P.max(axis=1), both.role(0)
    assert sharp[role == "val"].mean() > 0.85  # told by fold-0 alone
    assert sharp[role == "train"].mean() < 0.7  # told by fold-1 alone

"""Synthetic rows that the audit looks at are those that arms learn from."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from features.auditing import sets

from pipeline import params
from pipeline.heads import fitting
from pipeline.heads.cases import Cases
from pipeline.heads.entries import Entry
from pipeline.inspection import invented

VALUES = params.load(Path(__file__).parents[2] / params.FILE)


def asked(*names):
    grid = dataclasses.replace(VALUES.grid, resamplers=list(names))
    return dataclasses.replace(VALUES, grid=grid)


@pytest.mark.parametrize("name", ["smote", "borderline_smote", "mgs", "random_over"])
def test_they_are_the_rows_of_the_arm_in_the_space_of_the_evidence(name):
    evidence = sets.clean(trained=True)
    made = invented.synthetic(evidence, asked(name))[name][0]
    train = np.flatnonzero(evidence.role() == "train")
    cases = Cases(evidence.features["fold-0"], evidence.targets, evidence.groups, evidence.natural, evidence.classes)
    entry = Entry("resamplers", name, VALUES.resamplers[name], "")
    arm = fitting.prepare(cases, train, entry, (VALUES.fit.seed, 0)).resampled
    np.testing.assert_allclose(made.X, arm.X[len(arm.kept) :], atol=1e-4)
    assert (evidence.role()[made.parents] == "train").all()
    assert made.labels.tolist() == arm.y[len(arm.kept) :].tolist()


def test_those_that_make_no_rows_are_left_out_and_what_lies_between_parents_is_not_stored():
    made = invented.synthetic(sets.clean(), asked("none", "tomek_links", "random_under", "smote", "mgs"))
    assert list(made) == ["smote", "mgs"]
    assert made["smote"][0].written is None
    assert made["mgs"][0].written is not None


def test_a_resampler_that_cannot_work_is_left_out():
    evidence = sets.clean()
    one = dataclasses.replace(evidence, targets=np.zeros(len(evidence.targets), int))
    assert invented.synthetic(one, asked("smote")) == {}
    assert invented.synthetic(dataclasses.replace(evidence, targets=one.targets - 1), asked("smote")) == {}


def test_of_several_labels_each_has_the_rows_that_are_made_with_it():
    evidence = sets.clean()
    marks = (evidence.targets[:, None] == [0, 1, 2]).astype(np.int8)
    marks[:5] = -1
    made = invented.synthetic(dataclasses.replace(evidence, targets=marks), asked("smote"))["smote"][0]
    assert {1, 2} <= set(made.labels.tolist())
    assert (marks[made.parents[:, 0], made.labels] == 1).all()


def test_of_many_rows_a_sample_is_resampled_and_said_so(monkeypatch):
    monkeypatch.setattr(invented, "stratified", partial(invented.stratified, most=100))
    made = invented.synthetic(sets.clean(), asked("smote"))["smote"][0]
    assert made.sample == 100

"""Resamplers that copy, that wander off, that draw into another class: each is seen for what it is."""

import dataclasses
import functools

import numpy as np
import pytest
from features.auditing import sets
from sklearn.neighbors import NearestNeighbors

from pipeline.features.auditing import synthetic
from pipeline.features.auditing.evidence import Synthetic

THRESHOLD = 0.2
into_middle = functools.partial(sets.mixtures, others="middle")


def copies(evidence, rng, count=80):
    """Training rows of the rare class, repeated."""
    own = np.flatnonzero((evidence.targets == 2) & (evidence.role() == "train"))
    parents = np.repeat(rng.choice(own, count)[:, None], 2, axis=1)
    return Synthetic(np.full(count, 2), parents, np.zeros(count, np.float32), 0, evidence.space("fold-0"))


def noisy(evidence, rng, spread=3.0):
    """Rows far off those that they were made of."""
    made = sets.mixtures(evidence, rng)
    written = made.X + spread * rng.normal(size=made.X.shape).astype(np.float32)
    return dataclasses.replace(made, written=written)


def few_parents(evidence, rng):
    made = copies(evidence, rng)
    return dataclasses.replace(made, parents=made.parents[rng.integers(0, 2, len(made.parents))])


def found(**made):
    evidence = sets.clean(0, apart=6, synthetic=tuple(made.items()))
    return evidence, synthetic.synthetic(evidence, THRESHOLD)


def test_a_resampler_that_draws_into_another_class_is_named_and_the_honest_one_is_not():
    evidence, finding = found(honest=sets.mixtures, liar=into_middle)
    assert finding.verdict == "look"
    assert finding.value > 0.9
    assert finding.finding.startswith("liar invents points of other classes: of its rows of rare, ")
    assert "honest" not in finding.finding
    table = finding.table
    assert set(table["resampler"]) == {"liar"}
    assert set(table["nearest_class"]) == {"middle"}
    assert set(finding.rows) == set(table["image_id"]) <= sets.ids(evidence, evidence.targets == 2)
    assert set(table["other_parent"]) <= sets.ids(evidence, evidence.targets == 1)
    assert finding.figures["honest"]["rare"]["foreign"] == 0
    assert list(table) == list(synthetic.COLUMNS)


def test_two_that_do_are_both_named():
    _, finding = found(liar=into_middle, other=functools.partial(sets.mixtures, others="common"))
    assert "; so do " in finding.finding


def test_copies_are_counted_and_lie_on_their_parent():
    _, finding = found(copying=copies, honest=sets.mixtures)
    figures = finding.figures["copying"]["rare"]
    assert finding.verdict == "ok"
    assert (figures["copies"], figures["distance_from_parent"], figures["off_manifold"]) == (1.0, 0.0, 0.0)
    assert figures["cross_patient"] == 0.0
    assert finding.figures["honest"]["rare"]["copies"] < 0.3
    assert finding.figures["honest"]["rare"]["cross_patient"] > 0.5


def test_rows_off_the_manifold_are_further_from_real_ones_than_these_from_each_other():
    _, finding = found(noisy=noisy, honest=sets.mixtures)
    assert finding.figures["noisy"]["rare"]["off_manifold"] > 2
    assert finding.figures["honest"]["rare"]["off_manifold"] < 1


def test_a_two_sample_test_tells_what_was_invented_from_held_out_rows_and_training_rows_not():
    _, finding = found(noisy=noisy, liar=into_middle)
    for name in ("noisy", "liar"):
        assert finding.figures[name]["rare"]["auc_train"] < 0.65
    assert finding.figures["liar"]["rare"]["auc_synthetic"] > 0.9


def test_few_parents_are_few_in_effect():
    _, finding = found(narrow=few_parents, honest=sets.mixtures)
    assert finding.figures["narrow"]["rare"]["effective_parents"] <= 2
    assert finding.figures["honest"]["rare"]["effective_share"] > 0.5


def test_parents_that_are_used_evenly_all_count():
    assert synthetic.effective(np.array([[1, 2], [3, 4]])) == pytest.approx(4)
    assert synthetic.effective(np.array([[1, 1], [1, 1]])) == pytest.approx(1)
    assert synthetic.effective(np.array([1, 1, 1, 2])) == pytest.approx(
        np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    )


def test_the_nearest_real_rows_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(synthetic, "PART", 50)
    rng = np.random.default_rng(0)
    space, X = rng.normal(size=(300, 8)).astype(np.float32), rng.normal(size=(40, 8)).astype(np.float32)
    real = np.sort(rng.choice(300, 170, replace=False))
    rows, distances = synthetic.nearest_real(X, space, real)
    expected, places = NearestNeighbors(n_neighbors=3).fit(space[real]).kneighbors(X)
    assert rows.tolist() == real[places].tolist()
    assert distances == pytest.approx(expected, rel=1e-5)


def test_the_share_without_parents_is_that_of_the_nearest_row_that_is_none():
    evidence = sets.clean(1, apart=2, synthetic=(("smote", sets.mixtures),))
    fallen = synthetic.fall(evidence, evidence.synthetic["smote"][0])
    space = evidence.space("fold-0")
    distance = np.linalg.norm(space[None] - fallen.X[:, None], axis=2)
    assert fallen.foreign.tolist() == (evidence.targets[distance.argmin(axis=1)] != 2).tolist()
    distance[np.arange(len(distance))[:, None], fallen.parents] = np.inf
    assert fallen.apart.tolist() == (evidence.targets[distance.argmin(axis=1)] != 2).tolist()


def test_rows_of_a_label_lie_amid_others_where_an_image_has_not_this_label():
    evidence = sets.clean(0, apart=6)
    marks = np.stack([evidence.targets == 1, evidence.targets == 2], axis=1).astype(np.int8)
    several = dataclasses.replace(evidence, targets=marks, classes=("Mass", "Nodule"))
    rng = np.random.default_rng(0)
    liar = into_middle(evidence, rng)
    made = {"liar": [dataclasses.replace(liar, labels=np.ones(80, int))]}
    finding = synthetic.synthetic(dataclasses.replace(several, synthetic=made), THRESHOLD)
    assert finding.value > 0.9
    assert finding.finding.startswith("liar invents points of other classes: of its rows of Nodule")
    assert set(finding.table["nearest_class"]) == {"no Nodule"}


def test_what_a_resampler_notes_of_a_class_is_kept():
    def noted(evidence, rng):
        return dataclasses.replace(sets.mixtures(evidence, rng), notes={2: "fewer than asked for"})

    _, finding = found(noted=noted)
    assert finding.figures["noted"]["rare"]["note"] == "fewer than asked for"


def test_without_resamplers_that_make_rows_there_is_nothing_to_say():
    _, finding = found()
    assert finding.finding == "No resampler of the grid makes rows of its own in the first fold."
    assert (finding.value, finding.verdict) == (0.0, "ok")

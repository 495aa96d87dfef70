from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.heads import arms, search
from pipeline.heads.classifiers import HEADS
from pipeline.heads.resamplers import RESAMPLERS
from tests.heads.made import LOGISTIC, PROTOCOL, blobs, cases, pair

EVERY = np.arange(120)
SEEN: list[tuple] = []


class Scripted:
    """A head of which it is known how well it does: it is right in `share` of the rows, by the value of feature 0."""

    def __init__(self, share):
        self.share, self.classes_ = share, np.arange(2)

    def fit(self, X, y):
        SEEN.append((self.share, X.copy(), y.copy()))

    def predict_proba(self, X):
        SEEN.append((self.share, len(X)))
        right = (np.arange(len(X)) < round(self.share * len(X))).astype(float)
        return np.stack([right, 1 - right], axis=1)


def scripted(random_state: int, share: float) -> Scripted:
    if share < 0:
        raise ValueError("share must not be below 0\nand more")
    return Scripted(share)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(HEADS, "scripted", scripted)
    SEEN.clear()


def zeros_and_a_few_ones():
    """All rows to predict are of class 0 but for a few, which makes the share of hits that of the script."""
    y = np.zeros(120, int)
    y[:6] = 1
    return cases(np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32), y)


def choose(of, arm, rows=EVERY, **changed):
    return search.choose(of, rows, arm, replace(PROTOCOL, **changed), (0, 0))


def test_the_best_of_all_combinations_is_chosen_and_every_one_is_on_record():
    X, y = blobs([80, 40])
    arm = pair("smote", of_resampler={"k_neighbors": [1, 3]}, of_head={"C": [1e-7, 1.0], "max_iter": 1000})
    chosen, record = choose(cases(X, y), arm)
    assert [one["values"] for one in record["candidates"]] == [
        {"resampler.k_neighbors": k, "head.C": C} for k in (1, 3) for C in (1e-7, 1.0)
    ]
    best = max(record["candidates"], key=lambda one: one["score"])
    assert record["chosen"] == best["values"]
    assert chosen.head.values == {"C": best["values"]["head.C"], "max_iter": 1000}
    assert chosen.resampler.values == {"k_neighbors": best["values"]["resampler.k_neighbors"]}
    assert (record["fits"], record["folds"], record["metric"]) == (12, 3, "accuracy")
    assert all(one["folds"] == 3 and one["spread"] >= 0 for one in record["candidates"])
    assert record["seconds"] > 0


def test_the_figure_is_that_of_the_predictions_of_all_inner_folds_together():
    chosen, record = choose(zeros_and_a_few_ones(), pair(head="scripted", of_head={"share": [0.25, 0.75]}))
    scores = [one["score"] for one in record["candidates"]]
    assert scores == pytest.approx([0.25, 0.75], abs=0.06)
    assert chosen.head.values["share"] == 0.75


def test_of_many_combinations_the_worse_half_goes_after_each_fold():
    """7 are tried on one fold, 4 on the next, 2 on the last: 13 fits instead of 21."""
    shares = [0.1, 0.9, 0.3, 0.8, 0.5, 0.7, 0.2]
    chosen, record = choose(zeros_and_a_few_ones(), pair(head="scripted", of_head={"share": shares}), most=2)
    assert [one["folds"] for one in record["candidates"]] == [1, 3, 1, 3, 2, 2, 1]
    assert record["fits"] == 13
    assert chosen.head.values["share"] == 0.9


def test_no_more_go_than_leave_the_number_that_every_fold_tries():
    shares = [0.1, 0.9, 0.3, 0.8, 0.5, 0.7, 0.2]
    _, record = choose(zeros_and_a_few_ones(), pair(head="scripted", of_head={"share": shares}), most=5)
    assert sorted(one["folds"] for one in record["candidates"]) == [1, 1, 3, 3, 3, 3, 3]


def test_scaling_resampling_and_fitting_see_the_other_patients_alone_and_views_are_not_predicted(monkeypatch):
    """A row that is told by its patient: those that a candidate was fitted on are never those it is judged on."""
    resampled = []

    def remembering(rows, random_state, way: int = 0):
        resampled.append(rows)
        return RESAMPLERS["none"](rows, random_state)

    monkeypatch.setitem(RESAMPLERS, "remembering", remembering)
    patients, natural = np.arange(120) // 4, np.arange(120) % 4 == 0
    X = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    y = (patients < 10).astype(int)
    arm = pair("remembering", "scripted", of_resampler={"way": [0, 1]}, of_head={"share": 0.5})
    choose(cases(X, y, patients, natural), arm, folds=5)
    assert len(resampled) == 10
    for rows in resampled:
        assert len(set(rows.patients)) == 24
        np.testing.assert_allclose(rows.X.mean(0), 0, atol=1e-6)  # scaled by its own rows
        np.testing.assert_allclose(rows.X.std(0), 1, atol=1e-4)
        assert len(rows.y) == 96
    assert {one[1] for one in SEEN if len(one) == 2} == {6}  # of the 24 rows of 6 patients
    first, second = resampled[:2]
    np.testing.assert_array_equal(first.patients, second.patients)


def test_rows_outside_the_training_rows_play_no_part():
    X, y = blobs([80, 40])
    other = X.copy()
    other[100:] = 1e6
    arm = pair(of_head={**LOGISTIC, "C": [1e-4, 1.0]})
    records = [choose(cases(of, y), arm, np.arange(100))[1] | {"seconds": 0} for of in (X, other)]
    assert records[0] == records[1]


def test_a_combination_that_a_library_refuses_is_out_and_on_record():
    chosen, record = choose(zeros_and_a_few_ones(), pair(head="scripted", of_head={"share": [-1.0, 0.5]}))
    assert chosen.head.values["share"] == 0.5
    assert record["candidates"][0]["failure"] == "share must not be below 0"
    assert record["candidates"][0]["score"] is None


def test_combinations_that_are_all_refused_are_an_error_with_the_reason():
    with pytest.raises(PipelineError, match="none of 2 combinations could be judged: share must not be below 0"):
        choose(zeros_and_a_few_ones(), pair(head="scripted", of_head={"share": [-1.0, -2.0]}))


def test_an_inner_fold_without_a_class_to_learn_is_on_record():
    X, y = blobs([60, 30, 3])
    patients = np.where(y == 2, 1000, np.arange(93))
    _, record = choose(cases(X, y, patients), pair(of_head={**LOGISTIC, "C": [0.1, 1.0]}), np.arange(93))
    assert len(record["remarks"]) == 1
    assert record["remarks"][0].endswith(": no row of class C to learn from")


def test_an_inner_fold_of_one_class_is_left_out():
    X, y = blobs([60, 3])
    patients = np.where(y == 1, 1000, np.arange(63))
    _, record = choose(cases(X, y, patients), pair(of_head={**LOGISTIC, "C": [0.1, 1.0]}), np.arange(63))
    assert [one["folds"] for one in record["candidates"]] == [2, 2]


def test_one_patient_cannot_be_parted():
    X, y = blobs([20, 20])
    with pytest.raises(PipelineError, match="1 training patient cannot be parted\n  Remedy: give single values"):
        choose(cases(X, y, np.zeros(40, int)), pair(of_head={**LOGISTIC, "C": [0.1, 1.0]}), np.arange(40))


def test_an_arm_with_lists_is_fitted_with_what_was_chosen():
    X, y = blobs([80, 40])
    rows, arm = np.arange(100), pair(of_head={**LOGISTIC, "C": [1e-7, 1.0]})
    fitted = arms.fit_fold(cases(X, y), rows, np.arange(100, 120), arm, PROTOCOL, (0, 0))
    alone = arms.fit_fold(cases(X, y), rows, np.arange(100, 120), pair(), PROTOCOL, (0, 0))
    (record,) = fitted.searched
    assert record["chosen"] == {"head.C": 1.0}
    assert fitted.seconds_fit > record["seconds"]
    np.testing.assert_array_equal(fitted.probabilities, alone.probabilities)
    assert alone.searched == []

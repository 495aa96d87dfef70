from dataclasses import replace

import numpy as np
import pytest

from pipeline.heads import arms
from pipeline.heads.classifiers import HEADS
from pipeline.heads.named import Stack, Vote
from tests.heads.made import LOGISTIC, PROTOCOL, blobs, cases, pair

MEMBERS = {"none-logistic": pair(), "smote-logistic": pair("smote", of_resampler={"k_neighbors": 3})}
TRAIN, TEST = np.arange(140), np.arange(140, 180)


def fit(of, arm, train=TRAIN, rows=TEST):
    return arms.fit_fold(of, train, rows, arm, PROTOCOL, (0, 0))


def of_blobs(seed=0):
    X, y = blobs([100, 50, 30], seed=seed)
    return cases(X, y)


def test_a_vote_is_the_mean_of_what_its_arms_say_alone():
    of = of_blobs()
    alone = [fit(of, arm).probabilities for arm in MEMBERS.values()]
    fitted = fit(of, Vote(MEMBERS))
    np.testing.assert_array_equal(fitted.probabilities, np.mean(alone, axis=0))
    assert not np.allclose(*alone)
    np.testing.assert_array_equal(fitted.counts_after, fitted.counts_before)


class Oracle:
    """Knows the class of every row it was fitted on by heart, and guesses the others by the sign of feature 0."""

    def __init__(self, heart):
        self.heart = heart

    def fit(self, X, y):
        self.classes_, self.known = np.unique(y), dict(zip(X[:, 1].tolist(), y.tolist(), strict=True))

    def predict_proba(self, X):
        guess = (X[:, 0] > 0).astype(int)
        if self.heart:
            guess = np.array([self.known.get(key, 0) for key in X[:, 1].tolist()])
        return np.eye(len(self.classes_))[guess] * 0.8 + 0.1


def oracle(random_state: int, heart: bool) -> Oracle:
    return Oracle(heart)


def test_a_stack_trusts_what_holds_for_patients_that_its_arms_did_not_learn_from(monkeypatch):
    """An arm that knows its training rows by heart would win on them; out of fold it is worth nothing."""
    monkeypatch.setitem(HEADS, "oracle", oracle)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 180)
    X = np.stack([np.where(rng.random(180) < 0.9, 2 * y - 1, 1 - 2 * y), rng.permutation(180)], 1).astype(np.float32)
    members = {str(heart): pair(head="oracle", of_head={"heart": heart}) for heart in (True, False)}
    fitted = fit(cases(X, y), Stack(members, 1.0))
    assert (fitted.probabilities.argmax(1) == y[TEST]).mean() > 0.8
    by_heart, by_feature = np.abs(fitted.models[0].head.coef_[0]).reshape(2, 2).sum(1)
    assert by_feature > 5 * by_heart


def test_a_stack_has_probabilities_of_every_class_and_equal_seeds_give_equal_ones():
    of = of_blobs()
    one, same = (fit(of, Stack(MEMBERS, 1.0)).probabilities for _ in range(2))
    np.testing.assert_array_equal(one, same)
    np.testing.assert_allclose(one.sum(1), 1, rtol=1e-6)
    assert (one.argmax(1) == of.y[TEST]).mean() > 0.8


def test_the_head_of_a_stack_looks_at_log_probabilities_of_which_none_is_minus_infinite():
    X, y = blobs([100, 50, 30])
    train = np.flatnonzero((y != 2) & (np.arange(180) < 140))  # so that class C has probability 0
    stacked = fit(cases(X, y), Stack(MEMBERS, 1.0), train).models[0]
    said = [model.predict_proba(X) for model in stacked.models]
    logs = np.log(np.clip(np.hstack(said), 1e-6, None))
    np.testing.assert_allclose(stacked.predict_proba(X)[:, :2], stacked.head.predict_proba(logs))
    assert (stacked.predict_proba(X)[:, 2] == 0).all()
    assert stacked.head.coef_.shape == (1, 6)


@pytest.mark.parametrize("kind", [Vote, lambda members: Stack(members, 1.0)])
def test_only_training_rows_shape_arms_made_of_arms(kind):
    of = of_blobs()
    X = of.X.copy()
    X[150:] = 1e6
    one, same = (fit(each, kind(MEMBERS), rows=np.arange(140, 150)) for each in (of, replace(of, X=X)))
    np.testing.assert_array_equal(one.probabilities, same.probabilities)


def test_votes_and_stacks_of_each_other_with_lists_to_choose_from_report_every_choice():
    chosen = pair(of_head={**LOGISTIC, "C": [1e-7, 1.0]})
    arm = Stack({"soft": Vote({**MEMBERS, "chosen": chosen}), "none-logistic": pair()}, 1.0)
    fitted = fit(of_blobs(), arm)
    assert [record["arm"] for record in fitted.searched] == ["soft/chosen"]
    assert fitted.searched[0]["chosen"] == {"head.C": 1.0}
    assert (fitted.probabilities.argmax(1) == of_blobs().y[TEST]).mean() > 0.8


def test_a_stack_of_a_class_with_one_patient_goes_on_without_it_where_it_must():
    X, y = blobs([60, 60, 3])
    patients = np.where(y == 2, 1000, np.arange(123))
    fitted = fit(cases(X, y, patients), Stack(MEMBERS, 1.0), np.arange(123), np.arange(123))
    assert np.isfinite(fitted.probabilities).all()
    np.testing.assert_allclose(fitted.probabilities.sum(1), 1, rtol=1e-6)


def test_what_the_arms_had_to_say_is_said_with_their_names():
    X, y = blobs([60, 3])
    fitted = fit(cases(X, y), Vote(MEMBERS), np.arange(63), np.arange(63))
    assert fitted.remarks == ["smote-logistic, class B: 2 neighbours instead of 3, since it has 3 rows"]

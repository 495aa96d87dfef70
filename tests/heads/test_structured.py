from itertools import pairwise

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline.errors import PipelineError
from pipeline.heads.classifiers import HEADS
from pipeline.heads.estimators import structured
from pipeline.heads.estimators.decomposition import Hierarchical, Ordinal, leaves
from pipeline.heads.estimators.nearest import NearestMean

CLASSES = ["A", "B", "C", "D"]
TREE = {"AB": ["A", "B"], "CD": ["C", "D"]}
LOGISTIC = {"name": "logistic", "C": 1.0}


class Shares(ClassifierMixin, BaseEstimator):
    """Every row has the shares of the classes in what it was fitted on."""

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))


class Told(ClassifierMixin, BaseEstimator):
    """Answers the k-th question by column k of the rows; a question is known by how many it is true of."""

    def fit(self, X, y):
        self.question_ = 4 - round(4 * y.mean())
        return self

    def predict_proba(self, X):
        higher = X[:, self.question_ - 1]
        return np.stack([1 - higher, higher], axis=1)


def blobs(sizes, dimensions=6, distance=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), dimensions)) + distance * rng.normal(size=(len(sizes), dimensions))[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


def trees(labels):
    """Trees with these leaves, in any shape."""
    if len(labels) == 1:
        return st.just(labels[0])
    cuts = st.lists(st.integers(1, len(labels) - 1), min_size=1, unique=True).map(sorted)
    return cuts.flatmap(lambda at: st.tuples(*(trees(labels[a:b]) for a, b in pairwise([0, *at, len(labels)]))))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        NearestMean(),
        NearestMean("cosine"),
        NearestMean(scale=0.5),
        Hierarchical(LogisticRegression()),
        Ordinal(LogisticRegression()),
    ]
)
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "make",
    [
        structured.ncm,
        lambda seed: structured.hierarchical(seed, CLASSES, TREE, LOGISTIC),
        lambda seed: structured.ordinal(seed, LOGISTIC),
    ],
)
def test_a_head_that_was_saved_predicts_the_same(make, tmp_path):
    X, y = blobs([30, 20, 10, 10])
    fitted = make(0).fit(X, y)
    joblib.dump(fitted, tmp_path / "head.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "head.joblib").predict_proba(X), fitted.predict_proba(X))


def test_class_means_and_probabilities_are_literal():
    X, y = np.array([[0.0, 0], [2, 0], [5, 1], [5, 3]]), np.array([3, 3, 7, 7])
    fitted = NearestMean(scale=0.1).fit(X, y)
    np.testing.assert_array_equal(fitted.means_, [[1, 0], [5, 2]])
    # Squared distances of (1, 2) are 4 and 16.
    np.testing.assert_allclose(fitted.predict_proba([[1.0, 2.0]]), softmax([[-0.4, -1.6]], axis=1))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_scale_is_best_for_rows_that_are_judged_by_means_without_them(metric):
    X, y = blobs([12, 7, 4], distance=0.6)
    X = X.astype(np.float64)
    fitted = NearestMean(metric).fit(X, y)

    def log_loss(scale):
        losses = np.zeros(3)
        for row in range(len(X)):
            others = np.delete(np.arange(len(X)), row)
            p = NearestMean(metric, scale).fit(X[others], y[others]).predict_proba(X[[row]])[0, y[row]]
            losses[y[row]] -= np.log(p) / (y == y[row]).sum()
        return losses.sum()

    assert log_loss(fitted.scale_) < min(log_loss(fitted.scale_ * 1.05), log_loss(fitted.scale_ / 1.05))


def test_rows_that_are_alone_in_their_class_do_not_shape_the_scale():
    X, y = blobs([12, 7, 1], distance=0.6)
    assert np.isfinite(NearestMean().fit(X, y).scale_)
    alone = NearestMean().fit(X[[0, 1]], np.array([0, 1]))
    np.testing.assert_array_equal(alone.predict(X[[0, 1]]), [0, 1])


def test_cosines_do_not_see_how_long_rows_are():
    X, y = blobs([30, 20, 10])
    longer = X * np.random.default_rng(0).uniform(0.1, 10, size=(60, 1)).astype(np.float32)
    one, other = (NearestMean("cosine").fit(rows, y).predict_proba(X) for rows in (X, longer))
    np.testing.assert_allclose(one, other, rtol=1e-3)
    assert not np.allclose(NearestMean().fit(X, y).predict_proba(X), NearestMean().fit(longer, y).predict_proba(X))


def test_probabilities_multiply_on_the_way_down():
    y = np.repeat([0, 1, 2, 3], [10, 30, 20, 40])
    found = Hierarchical(Shares(), ((0, (1, 2)), 3)).fit(np.zeros((100, 1)), y).predict_proba(np.zeros((1, 1)))
    np.testing.assert_allclose(found, [[0.1, 0.3, 0.2, 0.4]])
    # As shares, any tree gives them; told apart by what each branching saw:
    head = Hierarchical(Shares(), ((0, (1, 2)), 3)).fit(np.zeros((100, 1)), y)
    seen = {str(below): fitted.shares_.tolist() for below, fitted in head.branchings_}
    np.testing.assert_allclose(seen["[[0, 1, 2], [3]]"], [0.6, 0.4])
    np.testing.assert_allclose(seen["[[0], [1, 2]]"], [1 / 6, 5 / 6])
    np.testing.assert_allclose(seen["[[1], [2]]"], [0.6, 0.4])


@given(st.permutations(range(5)).flatmap(lambda labels: trees(list(labels))), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_probabilities_sum_to_one_for_any_tree(tree, seed):
    X, y = blobs([9, 8, 7, 6, 5], seed=seed)
    head = Hierarchical(NearestMean(), tree).fit(X, y)
    assert sorted(leaves(tree)) == list(range(5))
    assert head.predict_proba(X).min() >= 0
    np.testing.assert_allclose(head.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("tree", [{"all": CLASSES}, {name: [name] for name in CLASSES}])
def test_a_flat_tree_is_the_base_head(tree):
    X, y = blobs([30, 20, 10, 10])
    flat = structured.hierarchical(0, CLASSES, tree, LOGISTIC).fit(X, y)
    base = HEADS["logistic"](random_state=0, C=1.0).fit(X, y)
    np.testing.assert_array_equal(flat.predict_proba(X), base.predict_proba(X))


def test_a_tree_of_names_is_learned_by_class_numbers():
    X, y = blobs([40, 30, 20, 20], distance=2.0)
    nested = {"A": ["A"], "rest": {"D": ["D"], "BC": ["B", "C"]}}
    head = structured.hierarchical(0, CLASSES, nested, LOGISTIC).fit(X, y)
    assert head.tree == ((0,), ((3,), (1, 2)))
    assert [branches for branches, _ in head.branchings_] == [[[0], [3, 1, 2]], [[3], [1, 2]], [[1], [2]]]
    assert head.score(X, y) > 0.9


def test_a_class_without_rows_leaves_its_branch_to_the_others():
    X, y = blobs([40, 30, 0, 20])
    head = structured.hierarchical(0, CLASSES, TREE, LOGISTIC).fit(X, y)
    assert head.classes_.tolist() == [0, 1, 3]
    assert [branches for branches, _ in head.branchings_] == [[[0, 1], [2]], [[0], [1]]]
    np.testing.assert_allclose(head.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"AB": ["A", "B"], "C": ["C"]}, "lacks D"),
        ({"AB": ["A", "B"], "more": {"BC": ["B", "C"], "D": ["D"]}}, "names twice B"),
        ({"AB": ["A", "B"], "CE": ["C", "E"]}, "lacks D; names what is no class: E"),
        ({"AB": ["A", "B"], "C": "C", "D": ["D"]}, r"'C' is neither a list of classes nor groups by name"),
    ],
)
def test_faults_of_a_tree_are_told_at_once(tree, said):
    with pytest.raises(PipelineError, match=f"^heads.hierarchical.tree: {said}\n"):
        structured.hierarchical(0, CLASSES, tree, LOGISTIC)


def test_classes_that_are_numbers_may_be_written_as_numbers():
    assert structured.hierarchical(0, ["1", "2", "3"], {"low": [1], "high": [2, 3]}, LOGISTIC).tree == ((0,), (1, 2))


def test_a_label_that_the_tree_lacks_is_refused():
    X, y = blobs([10, 10, 10])
    with pytest.raises(ValueError, match="the tree lacks the classes 2"):
        Hierarchical(NearestMean(), (0, 1)).fit(X, y)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ({"name": "logistik", "C": 1.0}, "there is no 'logistik'.*did you mean logistic?"),
        ({"C": 1.0}, "there is no 'None'"),
        ({"name": "logistic", "c": 1.0}, "heads.ordinal.base.c: unknown value"),
        ({"name": "logistic", "C": [0.1, 1.0]}, "heads.ordinal.base.C: one value, not several to choose from"),
        ({"name": "mlp", "patience": 3}, "heads.ordinal.base.patience: not for a head that others are made of"),
        ({"name": "mlp", "class_weight": {0: 2.0}}, "heads.ordinal.base.class_weight: not for a head that others"),
        ({"name": "hierarchical", "tree": TREE, "base": LOGISTIC}, "heads.ordinal.base.name: write one tree for both"),
    ],
)
def test_faults_of_a_base_head_are_told(base, said):
    with pytest.raises(PipelineError, match=said):
        structured.ordinal(0, base)


def test_any_head_is_a_base():
    X, y = blobs([40, 30, 20, 20], distance=2.0)
    for base in ({"name": "ncm"}, {"name": "mlp", "epochs": 20, "class_weight": "balanced"}, {"name": "crt"}):
        for head in (structured.hierarchical(0, CLASSES, TREE, base), structured.ordinal(0, base)):
            assert head.fit(X, y).predict_proba(X).shape == (110, 4)
            np.testing.assert_allclose(head.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
            assert head.score(X, y) > 0.4


def test_answers_that_cross_are_sorted():
    y = np.array([0, 1, 2, 3])
    head = Ordinal(Told()).fit(np.zeros((4, 3)), y)
    higher = np.array([[0.9, 0.5, 0.2], [0.5, 0.7, 0.1], [0.0, 0.0, 1.0]])
    expected = [[0.1, 0.4, 0.3, 0.2], [0.3, 0.2, 0.4, 0.1], [0.0, 1.0, 0.0, 0.0]]
    np.testing.assert_allclose(head.predict_proba(higher), expected, atol=1e-12)


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_whatever_is_answered_probabilities_are_some(higher):
    found = Ordinal(Told()).fit(np.zeros((4, 3)), np.arange(4)).predict_proba(np.array(higher))
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_of_two_classes_ordinal_is_the_base_head():
    X, y = blobs([40, 20])
    base = HEADS["logistic"](random_state=0, C=1.0).fit(X, y)
    np.testing.assert_allclose(
        structured.ordinal(0, LOGISTIC).fit(X, y).predict_proba(X), base.predict_proba(X), rtol=1e-4
    )


def test_ordinal_learns_grades_along_a_line():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    y = np.digitize(X[:, 0], [-0.7, 0.2, 1.0])
    head = structured.ordinal(0, {"name": "logistic", "C": 100.0}).fit(X[:200], y[:200])
    assert np.abs(head.predict(X[200:]) - y[200:]).mean() < 0.1

"""Resamplers against imbalanced-learn, against their papers on small tables, and what they do where these can't."""

import warnings
from typing import ClassVar

import numpy as np
import pytest
from imblearn import combine, over_sampling, under_sampling
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils.estimator_checks import estimator_checks_generator
from scipy import sparse
from sklearn.utils import check_random_state

from pipeline.heads.resamplers import RESAMPLERS
from pipeline.heads.resampling.rows import Rows

enn = under_sampling.EditedNearestNeighbours
SIZES = [[120, 50, 30], [90, 12], [70, 40, 8, 30], [200, 90]]


def blobs(sizes, dimensions, seed, apart=0.5):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), dimensions)) + apart * rng.normal(size=(len(sizes), dimensions))[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


def resample(name, X, y, seed=0, **values):
    X = np.asarray(X, np.float32)
    return RESAMPLERS[name](Rows(X, y, np.arange(len(y))), np.random.RandomState(seed), **values)


def in_order(X, y):
    return np.lexsort((*X.T, y))


@pytest.mark.parametrize(
    ("name", "values", "reference"),
    [
        ("random_over", {}, over_sampling.RandomOverSampler()),
        ("random_under", {}, under_sampling.RandomUnderSampler()),
        ("smote", {}, over_sampling.SMOTE()),
        ("smote", {"k_neighbors": 3}, over_sampling.SMOTE(k_neighbors=3)),
        ("borderline_smote", {}, over_sampling.BorderlineSMOTE()),
        ("borderline_smote", {"kind": 2}, over_sampling.BorderlineSMOTE(kind="borderline-2")),
        ("adasyn", {}, over_sampling.ADASYN()),
        ("svm_smote", {}, over_sampling.SVMSMOTE()),
        ("smote_tomek", {}, combine.SMOTETomek()),
        ("smote_enn", {}, combine.SMOTEENN()),
        ("smote_enn", {"kind": "mode"}, combine.SMOTEENN(enn=enn(sampling_strategy="all", kind_sel="mode"))),
        ("tomek_links", {}, under_sampling.TomekLinks()),
        ("tomek_links", {"which": "all"}, under_sampling.TomekLinks(sampling_strategy="all")),
        ("edited_nearest_neighbours", {}, enn()),
        ("edited_nearest_neighbours", {"kind": "mode", "n_neighbors": 5}, enn(kind_sel="mode", n_neighbors=5)),
        ("near_miss", {"version": 2}, under_sampling.NearMiss(version=2)),
        ("near_miss", {"version": 3}, under_sampling.NearMiss(version=3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("dimensions", "seed"), [(3, 0), (20, 1)])
def test_draws_are_those_of_imbalanced_learn(name, values, reference, sizes, dimensions, seed):
    X, y = blobs(sizes, dimensions, seed)
    if "random_state" in reference.get_params():
        reference.set_params(random_state=np.random.RandomState(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, labels = reference.fit_resample(X, y)
    made = resample(name, X, y, seed, **values)
    if name == "svm_smote" and len(labels) < len(made.y):
        return  # it makes only a part of the rows where all support vectors are in danger, or none is
    spared = [label for label, note in made.notes.items() if note.startswith("every row lies")]
    X, y = made.X[~np.isin(made.y, spared)], made.y[~np.isin(made.y, spared)]
    one, other = in_order(X, y), in_order(expected, labels)
    np.testing.assert_array_equal(y[one], labels[other])
    np.testing.assert_allclose(X[one], expected[other], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_clusters_are_those_of_imbalanced_learn_which_makes_a_few_rows_too_many(seed):
    X, y = blobs([300, 80, 45], 20, seed)
    expected, labels = over_sampling.KMeansSMOTE(random_state=np.random.RandomState(seed)).fit_resample(X, y)
    made = resample("kmeans_smote", X, y, seed)
    assert len(labels) >= len(made.y) == 900
    for label, size in ((1, 220), (2, 255)):
        synthetic = np.flatnonzero(labels[len(y) :] == label)[:size] + len(y)
        np.testing.assert_array_equal(made.X[len(y) :][made.y[len(y) :] == label], expected[synthetic])


class Sampler(BaseOverSampler):
    """A resampler as imbalanced-learn's checks of estimators want it: they call `fit_resample` on an object."""

    _parameter_constraints: ClassVar = {
        **BaseOverSampler._parameter_constraints,
        "random_state": ["random_state"],
        "name": [str],
    }

    def __init__(self, name="smote", sampling_strategy="auto", random_state=None):
        super().__init__(sampling_strategy=sampling_strategy)
        self.name, self.random_state = name, random_state

    def _fit_resample(self, X, y):
        labels, numbers = np.unique(y, return_inverse=True)
        place = {label: number for number, label in enumerate(labels)}
        strategy = {place[label]: int(more + (y == label).sum()) for label, more in self.sampling_strategy_.items()}
        rows = Rows(X.toarray() if sparse.issparse(X) else X, numbers, np.arange(len(y)))
        made = RESAMPLERS[self.name](rows, check_random_state(self.random_state), strategy=strategy)
        return type(X)(made.X) if sparse.issparse(X) else made.X, labels[made.y]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["random_over", "smote", "borderline_smote", "adasyn", "svm_smote", "remix", "eos", "mgs"]
)
def test_over_samplers_pass_the_checks_of_imbalanced_learn(name):
    """Cleaning and under-samplers do not: they take no counts, or give rows in their order and not class by class."""
    for estimator, check in estimator_checks_generator(Sampler(name, random_state=0)):
        check(estimator)


# One feature; the three nearest of each row of class 1 are known by eye.
LINE = np.array([0.0, 0.1, 0.3, 0.6, 4.0, 4.2, 5.0, 9.0, 9.2, 9.3, 9.5, 2.0, 1.7])[:, None]
CLASS = np.array([1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("m", "danger"),
    [
        # Of 4.0 the nearest are 4.2 and 5.0 (0) and 2.0 (0); of 9.2 9.3, 9.0, 9.5 (0): noise. Of 0.6 0.3, 0.1, 0.0 (1).
        (3, []),
        # Four: 0.6 has 0.3, 0.1, 0.0 (1) and 1.7 (0): safe.
        (4, []),
        # Six: 0.6 has 0.3, 0.1, 0.0 (1), 1.7, 2.0 (0), 4.0 (1): safe. 4.0: 4.2, 5.0, 2.0, 1.7 (0), 0.6 (1), 0.3 (1).
        # 9.2 has 9.3, 9.0, 9.5, 5.0, 4.2 (0), 4.0 (1). 0.0, 0.1 and 0.3: 1.7 and 2.0 are fifth or so, safe.
        (6, [4.0, 9.2]),
    ],
)
def test_danger_is_that_of_han_2005_at_least_half_of_the_neighbours_and_not_all(m, danger):
    made = resample("borderline_smote", LINE, CLASS, k_neighbors=2, m_neighbors=m, strategy={1: 200})
    starts = sorted({round(float(LINE[row, 0]), 1) for row in made.parents[:, 0]})
    if danger:
        assert starts == danger
        assert not made.notes
    else:
        assert starts == [0.0, 0.1, 0.3, 0.6, 4.0, 9.2]
        assert made.notes == {1: "no row in danger, smote instead of borderline_smote"}


def test_half_of_the_neighbours_is_danger_and_one_less_is_not():
    X = np.array([0.0, 1.0, 1.1, 2.0, 2.1, 50.0, 51.0, 52.0, 53.0])[:, None]
    y = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0])  # of the four nearest of 1.1: 1.0, 0.0 (1), 2.0, 2.1 (0)
    made = resample("borderline_smote", X, y, k_neighbors=1, m_neighbors=4, strategy={1: 100})
    assert set(made.parents[:, 0]) == {0, 1, 2}
    X[1:3] -= 0.9  # of the three nearest of 0.2 now only 2.0 is of the other class
    assert resample("borderline_smote", X, y, k_neighbors=1, m_neighbors=3).notes[1].startswith("no row in danger")


def test_borderline_2_goes_at_most_half_of_the_way_to_other_classes():
    X, y = blobs([200, 40], 5, 0)
    made = resample("borderline_smote", X, y, kind=2)
    foreign = y[made.parents[:, 1]] != 1
    assert 0.4 < made.shares[foreign].max() <= 0.5
    assert made.shares[~foreign].max() > 0.9


def test_tomek_links_are_pairs_of_two_classes_that_are_each_others_nearest():
    X = np.array([0.0, 0.4, 5.0, 5.5, 5.9, 9.0, 9.3, 20.0])[:, None]
    y = np.array([0, 1, 0, 1, 0, 0, 0, 1])  # 5.5 is nearer to 5.9 than to 5.0; 9.0 and 9.3 are of one class
    assert resample("tomek_links", X, y).kept.tolist() == [1, 2, 3, 5, 6, 7]
    assert resample("tomek_links", X, y, which="all").kept.tolist() == [2, 5, 6, 7]


def test_edited_neighbours_remove_what_any_or_most_of_the_nearest_contradict():
    X = np.array([0.0, 0.1, 0.2, 0.35, 5.0, 5.1, 5.2, 5.3, 0.5, -9.0, -9.1, -9.2, -9.3])[:, None]
    y = np.array([0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0])  # 0.35 is among the three nearest of all below 1
    every = resample("edited_nearest_neighbours", X, y, n_neighbors=3, which="all")
    most = resample("edited_nearest_neighbours", X, y, n_neighbors=3, which="all", kind="mode")
    assert every.kept.tolist() == [4, 5, 6, 7, 9, 10, 11, 12]
    assert most.kept.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_a_class_that_lies_among_another_altogether_is_kept_and_that_is_said():
    X = np.concatenate([np.arange(10.0), np.arange(10.0) + 0.01])[:, None]
    X = np.concatenate([X, np.arange(10.0)[:, None] + 0.02])
    y = np.repeat([0, 1, 0], 10)
    made = resample("edited_nearest_neighbours", X, y, which="all", n_neighbors=2)
    assert made.notes[1] == "every row lies among other classes, all are kept"
    assert (made.y == 1).sum() == 10


def test_remix_takes_neighbours_of_classes_kappa_times_as_large_only_and_stays_on_its_side():
    X, y = blobs([200, 60, 30], 4, 0, apart=0.1)
    made = resample("remix", X, y, kappa=3.0, tau=0.4, k_neighbors=8)
    pairs = y[made.parents]
    assert {tuple(pair) for pair in pairs} == {(1, 1), (1, 0), (2, 2), (2, 0)}  # 60 is only twice 30
    foreign = pairs[:, 0] != pairs[:, 1]
    assert 0.38 < made.shares[foreign].max() < 0.4
    assert made.shares[~foreign].max() > 0.95


def test_remix_draws_shares_from_the_beta_distribution_cut_off():
    X, y = blobs([2000, 20], 3, 0, apart=0.0)
    shares = resample("remix", X, y, alpha=4.0, tau=0.5).shares
    expected = np.random.default_rng(0).beta(4, 4, 40_000)
    np.testing.assert_allclose(shares.mean(), expected[expected < 0.5].mean(), atol=0.01)


def test_eos_goes_from_rows_with_enemies_nearby_to_these():
    X, y = blobs([150, 40], 4, 0)
    made = resample("eos", X, y, k_neighbors=6, strategy={1: 2000})
    order = np.argsort(((X[:, None] - X) ** 2).sum(axis=2), axis=1)[:, 1:7]
    assert (y[made.parents] == [1, 0]).all()
    assert all(other in order[one] for one, other in made.parents)
    starts = np.flatnonzero((y == 1) & (y[order] == 0).any(axis=1))
    assert set(made.parents[:, 0]) == set(starts)


def test_eos_and_adasyn_without_an_enemy_nearby_take_smote_and_say_so():
    X = np.concatenate(
        [np.random.default_rng(0).normal(size=(30, 3)), 100 + np.random.default_rng(1).normal(size=(12, 3))]
    )
    y = np.repeat([0, 1], [30, 12])
    for name in ("eos", "adasyn"):
        made = resample(name, X, y)
        assert made.notes == {1: f"no neighbour of another class, smote instead of {name}"}
        assert (made.y == 1).sum() == 30


def test_mgs_draws_from_the_gaussian_of_a_row_and_its_neighbours():
    X = np.random.default_rng(0).normal(size=(5, 3)) * [1, 5, 0.1] + [3, 0, 1]
    far = 100 + np.random.default_rng(1).normal(size=(20_000, 3))
    made = resample("mgs", np.concatenate([X, far]), np.repeat([1, 0], [5, 20_000]), k_neighbors=4)
    rows = made.X[20_005:].astype(np.float64)
    np.testing.assert_allclose(rows.mean(axis=0), X.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(rows.T, bias=True), np.cov(X.T, bias=True), atol=0.3)
    assert set(made.parents[:, 0]) == set(range(5))


def test_a_class_too_small_for_the_neighbours_uses_those_it_has_and_says_so():
    X, y = blobs([20, 3], 6, 0)
    for name in ("smote", "mgs"):
        assert resample(name, X, y).notes == {1: "2 neighbours instead of 5, since it has 3 rows"}
    rows = Rows(X, y, np.where(y == 1, np.cumsum(y == 1) // 2, 50 + np.arange(23)))
    made = RESAMPLERS["smote"](rows, np.random.RandomState(0), cross_patient=True)
    assert made.notes == {1: "1 neighbour instead of 5, since a patient has 2 of its 3 rows"}


def test_support_vectors_in_danger_go_to_neighbours_and_safe_ones_away_from_them():
    X, y = blobs([150, 60], 4, 0, apart=1.0)
    made = resample("svm_smote", X, y, out_step=0.3)
    assert made.shares.max() > 0.9
    assert -0.3 <= made.shares.min() < -0.25
    assert not ((made.shares > -1e-6) & (made.shares < 0)).all()


@pytest.mark.parametrize("name", ["smote", "borderline_smote"])
def test_two_shifted_classes_do_not_get_the_same_offsets(name):
    """With an integer seed, imbalanced-learn draws the same positions for every class."""
    minority, shift = np.random.default_rng(0).normal(size=(10, 4)), np.array([6.0, 0, 0, 0])
    majority = np.random.default_rng(1).normal(size=(40, 4)) * 4
    X = np.concatenate([majority, minority, minority + shift]).astype(np.float32)
    made = resample(name, X, np.repeat([0, 1, 2], [40, 10, 10]))
    one, other = (made.X[60:][made.y[60:] == label] for label in (1, 2))
    assert not np.allclose(one, other - shift.astype(np.float32), atol=1e-4)


def test_centres_that_share_their_nearest_row_keep_fewer_and_say_so():
    X = np.concatenate([np.repeat([[0.0], [1.0], [2.0]], 20, axis=0), [[9.0]] * 5])
    made = resample("cluster_centroids", X, np.repeat([0, 1], [60, 5]))
    assert made.notes == {0: "3 rows instead of 5, centres share their nearest row"}
    assert sorted(made.X[made.y == 0].ravel()) == [0, 1, 2]


def test_fewer_candidates_than_asked_for_are_said():
    X, y = blobs([100, 10], 2, 0, apart=5.0)
    made = resample("near_miss", X, y, version=3, n_neighbors=1)
    assert made.notes[0].endswith("its other rows are no neighbours")
    assert 1 <= (made.y == 0).sum() < 10

"""Neighbours of many rows: what is missed is measured, and what is exact misses nothing."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from pipeline.features import approximate
from pipeline.features.approximate import distances, principal, recall, search


def curved(count, dims=40, seed=0):
    """Rows on a manifold of six dimensions, as features of a network lie."""
    rng = np.random.default_rng(seed)
    inner = rng.standard_normal((count, 6), np.float32)
    hidden = np.maximum(inner @ rng.standard_normal((6, 64), np.float32), 0)
    return hidden @ rng.standard_normal((64, dims), np.float32) / 8


def reference(X, k):
    found = NearestNeighbors(n_neighbors=k + 1).fit(X).kneighbors(X)
    return found[1][:, 1:], found[0][:, 1:]


def test_few_rows_are_searched_exactly():
    X = curved(300)
    found = search(X, 5, np.arange(300))
    rows, apart = reference(X, 5)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, apart, rtol=1e-4)
    assert found.recall == 1


def test_many_rows_are_searched_in_cells_and_the_recall_is_what_it_is_said_to_be():
    X = curved(4000)
    found = search(X, 5, np.arange(4000), exact=1000)
    true = recall(reference(X, 5)[0], found.rows)
    assert true > 0.98
    assert found.recall == pytest.approx(true, abs=0.01)
    assert not np.array_equal(found.rows, search(X, 5, np.arange(4000)).rows)  # else no cell was left out
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_a_search_that_misses_rows_says_so(monkeypatch):
    monkeypatch.setattr(approximate, "WANTED", 0.5)
    X = curved(4000)
    found = search(X, 5, np.arange(4000), exact=1000)
    true = recall(reference(X, 5)[0], found.rows)
    assert true < 0.95
    assert found.recall == pytest.approx(true, abs=0.04)


def test_rows_without_structure_are_found_all_the_same():
    X = np.random.default_rng(0).standard_normal((2500, 300), np.float32)
    assert recall(reference(X, 5)[0], search(X, 5, np.arange(2500), exact=1000).rows) > 0.98


@pytest.mark.parametrize("exact", [100, 10_000])
def test_rows_of_one_owner_do_not_find_each_other(exact):
    X, owners = curved(1500), np.arange(1500) // 3
    found = search(X, 5, owners, exact=exact)
    assert (owners[found.rows] != owners[:, None]).all()


def test_equal_rows_are_at_no_distance():
    X = curved(3000)
    X[2999] = X[17]
    found = search(X, 5, np.arange(3000), exact=1000)
    assert (found.rows[17, 0], found.rows[2999, 0], found.distances[17, 0]) == (2999, 17, 0)


def test_fewer_rows_than_wanted_are_all_found_and_absent_ones_are_infinitely_far():
    X = curved(4)
    assert search(X, 15, np.arange(4)).rows.shape == (4, 3)
    found = search(X, 3, np.array([0, 0, 0, 1]))
    np.testing.assert_array_equal(found.rows[0], [3, -1, -1])
    assert np.isinf(found.distances[0, 1:]).all()
    assert search(X[:1], 15, np.arange(1)).rows.shape == (1, 0)


def test_distances_are_those_of_the_rows_of_the_table():
    X = np.array([[0, 0], [3, 4], [0, 1]], np.float32)
    found = distances(X, np.array([[1, 2], [0, 2], [0, -1]]))
    np.testing.assert_allclose(found, [[5, 1], [5, np.sqrt(18)], [1, np.inf]])


def test_recall_counts_true_neighbours_wherever_they_stand():
    assert recall(np.array([[1, 2], [3, -1]]), np.array([[2, 9], [3, 4]])) == pytest.approx(2 / 3)


def test_principal_components_are_those_of_scikit_learn_up_to_their_sign():
    X = curved(500) + 10
    np.testing.assert_allclose(np.abs(principal(X, 4)), np.abs(PCA(4).fit_transform(X)), rtol=1e-3, atol=1e-3)

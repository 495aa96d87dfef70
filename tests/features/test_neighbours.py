import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from pipeline.features.neighbours import Group, mixed, nearest, nearest_of_classes, nearest_with_mixtures
from pipeline.features.searching import Search


def by_definition(X, k, queries, pool, allowed=None):
    """By distances in float64, then by position; -1 where there are fewer than k."""
    table = np.full((len(queries), k), -1)
    for place, row in enumerate(queries):
        others = [other for other in pool if other != row and (allowed is None or allowed(row, other))]
        squared = [((X[row].astype(np.float64) - X[other]) ** 2).sum() for other in others]
        found = [other for _, other in sorted(zip(squared, others, strict=True))][:k]
        table[place, : len(found)] = found
    return table


def normal(rows, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def group(plain, mixtures, seed=0):
    """Mixtures of random pairs of rows at these positions."""
    rng = np.random.default_rng(seed)
    return Group(plain, mixtures, *rng.integers(0, len(plain), (2, len(mixtures))), rng.random(len(mixtures)))


def with_mixtures(X, *groups):
    mixtures = [mixed(X, one.plain[one.first], one.plain[one.second], one.share) for one in groups]
    return np.concatenate([X, *mixtures])


@given(
    st.integers(3, 60),
    st.sampled_from([1, 2, 7, 40]),
    st.integers(1, 6),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.booleans(),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_neighbours_are_those_of_the_definition_ties_and_distant_clouds_included(n, D, k, shift, rounded, seed):
    X = normal(n, D, seed) + np.float32(shift)
    X = np.round(X) if rounded else X  # few dimensions of whole numbers: many rows and distances are equal
    k = min(k, n - 1)
    np.testing.assert_array_equal(nearest(X, k), by_definition(X, k, range(n), range(n)))


@pytest.mark.parametrize(("n", "D"), [(2500, 24), (1200, 300)])
def test_neighbours_are_those_of_scikit_learn(n, D):
    """Several blocks, where some rows lie near the border between candidates and others."""
    X = normal(n, D)
    expected = NearestNeighbors(n_neighbors=8).fit(X).kneighbors(X, return_distance=False)[:, 1:]
    np.testing.assert_array_equal(nearest(X, 7), expected)


def test_a_row_that_stands_many_times_finds_its_first_copies_and_not_itself():
    X = np.repeat(normal(4, 5), 30, axis=0)
    table = nearest(X, 3)
    assert table[0].tolist() == [1, 2, 3]
    assert table[1].tolist() == [0, 2, 3]
    assert table[119].tolist() == [90, 91, 92]


def test_constant_features_are_all_as_near():
    assert nearest(np.full((50, 8), 3.5, np.float32), 2)[[0, 1, 49]].tolist() == [[1, 2], [0, 2], [0, 1]]


def test_queries_find_rows_of_the_pool_only():
    X = normal(90, 6)
    queries, pool = np.array([3, 80, 41]), np.arange(20, 60)
    np.testing.assert_array_equal(nearest(X, 4, queries, pool), by_definition(X, 4, queries, pool))


def test_rows_of_one_owner_do_not_find_each_other_and_missing_ones_are_minus_one():
    X, owners = normal(40, 5), np.repeat([0, 1], [38, 2])
    expected = by_definition(X, 3, range(40), range(40), lambda row, other: owners[row] != owners[other])
    np.testing.assert_array_equal(nearest(X, 3, owners=owners), expected)
    assert (expected[:38, 2] == -1).all()


def test_tables_of_some_classes_are_of_any_class_and_of_the_own():
    X, y, owners = normal(300, 8), np.repeat([0, 1, 2, 3], [200, 60, 38, 2]), np.arange(300) // 3
    anyone, own = nearest_of_classes(X, y, [1, 2, 3], 4, 3, owners)
    expected = by_definition(X, 4, range(200, 300), range(300))
    np.testing.assert_array_equal(anyone[200:], expected)
    kin = by_definition(X, 3, range(200, 300), range(300), lambda a, b: y[a] == y[b] and owners[a] != owners[b])
    np.testing.assert_array_equal(own[200:], kin)
    assert (anyone[:200] == -1).all()
    assert (own[:200] == -1).all()


@pytest.mark.parametrize("budget", [1, 4 * 150 * 80, 4 * 150 * 120, 1 << 20])
def test_products_of_mixtures_give_the_neighbours_that_the_rows_themselves_have(budget):
    """Whether all products of a group are held at once, or those of a part of its rows, or its mixtures are taken."""
    X, one = normal(150, 10), group(np.arange(150), np.arange(150, 300))
    expected = by_definition(with_mixtures(X, one), 5, range(300), range(300))
    np.testing.assert_array_equal(nearest_with_mixtures(X, 5, [one], budget), expected)


def test_groups_of_mixtures_find_each_other():
    X = np.concatenate([normal(60, 6), normal(90, 6, 1) + np.float32(0.5), normal(40, 6, 2)])
    order = np.random.default_rng(0).permutation(190)
    one, other = group(order[:60], np.arange(190, 250)), group(order[60:150], np.arange(250, 280), 1)
    table = nearest_with_mixtures(X, 3, [one, other, Group(order[150:])])
    np.testing.assert_array_equal(table, by_definition(with_mixtures(X, one, other), 3, range(280), range(280)))


def test_mixtures_that_are_too_near_to_be_sure_are_searched_exactly():
    X, one = normal(50, 4) * np.float32(1e-2), group(np.arange(50), np.arange(50, 120))
    X[25:] += 1000
    expected = by_definition(with_mixtures(X, one), 3, range(120), range(120))
    np.testing.assert_array_equal(nearest_with_mixtures(X, 3, [one]), expected)


def test_rows_whose_candidates_are_too_near_to_be_sure_are_searched_exactly(monkeypatch):
    """Rows 1e-4 apart at a distance of 1000: float32 products can't tell them apart."""
    X = normal(80, 4) * np.float32(1e-2)
    X[40:] += 1000
    searched = []
    exactly = Search.exactly
    monkeypatch.setattr(
        Search, "exactly", lambda self, asked, limits: searched.append(len(asked)) or exactly(self, asked, limits)
    )
    np.testing.assert_array_equal(nearest(X, 3), by_definition(X, 3, *[range(80)] * 2))
    assert sum(searched) > 40


def test_float64_rows_are_ranked_by_their_own_distances():
    X = np.array([[0.0], [1.0 + 1e-12], [-1.0], [5.0]])
    assert nearest(X, 2)[0].tolist() == [2, 1]


def test_mixtures_take_no_products_of_their_own(monkeypatch):
    taken = []
    products = Search.products
    monkeypatch.setattr(
        Search,
        "products",
        lambda self, left, right: taken.append(len(left) * len(right)) or products(self, left, right),
    )
    X = normal(140, 6)
    one, other = group(np.arange(50), np.arange(140, 640)), group(np.arange(50, 140), np.arange(640, 900), 1)
    nearest_with_mixtures(X, 3, [one, other])
    assert sorted(taken) == [50 * 50, 50 * 90, 90 * 90]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_neighbours_are_the_same_however_many_threads_search(monkeypatch, threads):
    monkeypatch.setattr("pipeline.features.searching._threads", lambda pools: threads)
    X = np.round(normal(400, 3) * 2)
    one, other = group(np.arange(0, 400, 2), np.arange(400, 550)), group(np.arange(1, 400, 2), np.arange(550, 700), 1)
    np.testing.assert_array_equal(nearest(X, 4), by_definition(X, 4, range(400), range(400)))
    expected = by_definition(with_mixtures(X, one, other), 3, range(700), range(700))
    np.testing.assert_array_equal(nearest_with_mixtures(X, 3, [one, other]), expected)
    few = nearest(X, 2, np.array([5]), np.arange(3))
    np.testing.assert_array_equal(few, by_definition(X, 2, [5], range(3)))

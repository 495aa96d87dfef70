"""The map: which rows are on it, where they lie, and where synthetic ones do."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features.auditing import projection


@dataclass
class Made:
    labels: np.ndarray
    parents: np.ndarray
    shares: np.ndarray
    written: np.ndarray | None = None


def clouds(rows=90, width=12, seed=0):
    """Three well separated clouds, (n, D) float32, and which each row belongs to."""
    rng = np.random.default_rng(seed)
    classes = np.arange(rows) % 3
    centres = 8 * rng.normal(size=(3, width))
    return (centres[classes] + rng.normal(size=(rows, width))).astype(np.float32), classes


def test_neighbours_of_a_cloud_are_neighbours_on_the_map():
    X, classes = clouds()
    _, embedding = projection.coordinates(X, 0)
    distances = np.linalg.norm(embedding[:, None] - embedding, axis=2) + 1e9 * np.eye(len(X))
    assert (classes[distances.argmin(axis=1)] == classes).mean() > 0.97


def test_the_principal_components_are_those_of_a_singular_value_decomposition():
    X, _ = clouds()
    pca, _ = projection.coordinates(X, 0)
    centred = X.astype(float) - X.mean(axis=0, dtype=float)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    np.testing.assert_allclose(np.abs(pca), np.abs(centred @ axes.T), atol=1e-3)


def test_the_same_rows_and_seed_give_the_same_map():
    X, _ = clouds()
    for one, other in zip(projection.coordinates(X, 3), projection.coordinates(X, 3), strict=True):
        assert one.dtype == np.float32
        assert one.shape == (len(X), 2)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("X", [np.zeros((3, 4)), np.ones((40, 6)), np.arange(50.0)[:, None]], ids=str)
def test_few_rows_equal_rows_and_one_dimension_have_a_map(X):
    for xy in projection.coordinates(X.astype(np.float32), 0):
        assert xy.shape == (len(X), 2)
        assert np.isfinite(xy).all()


@given(
    sizes=st.lists(st.integers(1, 400), min_size=2, max_size=6),
    most=st.integers(40, 300),
    wanted=st.integers(0, 20),
    seed=st.integers(0, 9),
)
def test_a_sample_keeps_rare_classes_and_every_row_that_a_check_names(sizes, most, wanted, seed):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    named = np.ones(len(targets), int)
    named[:: max(1, len(targets) // max(1, wanted))] = 2
    named[np.cumsum(named == 2) > 20] = 1
    rows = projection.choose(targets, named, most, seed)
    assert len(rows) == min(most, len(targets)) == len(set(rows.tolist()))
    assert set(np.flatnonzero(named == 2)) <= set(rows.tolist())
    kept, part = np.bincount(targets[rows], minlength=len(sizes)), (most - 20) // (2 * len(sizes))
    assert all(have >= min(size, part) for have, size in zip(kept, sizes, strict=True))


def test_of_two_common_classes_each_has_its_share_of_a_sample():
    rows = projection.choose(np.repeat([0, 1], [9_000, 3_000]), np.ones(12_000, int), 1_200, 0)
    assert np.bincount(np.repeat([0, 1], [9_000, 3_000])[rows]).tolist() == [900, 300]


def test_rows_that_may_not_be_shown_are_not():
    named = np.array([1, 0, 1, 0, 2])
    assert projection.choose(np.zeros(5, int), named, 10, 0).tolist() == [0, 2, 4]


def test_a_row_of_several_labels_counts_as_one_of_its_rarest():
    targets = np.zeros((1_000, 2), np.int8)
    targets[:, 0], targets[:5, 1] = 1, 1
    assert set(range(5)) <= set(projection.choose(targets, np.ones(1_000, int), 20, 0).tolist())


def test_a_synthetic_row_lies_at_its_own_components_and_between_its_parents_in_the_embedding():
    X, classes = clouds()
    made = Made(np.array([0, 0]), np.array([[0, 3], [3, 6]]), np.array([0.25, 0.5], np.float32))
    found = projection.plane(X, classes, np.ones(len(X), int), {"smote": made})
    written = X[made.parents[:, 0]] + made.shares[:, None] * (X[made.parents[:, 1]] - X[made.parents[:, 0]])
    same = projection.plane(X, classes, np.ones(len(X), int), {"smote": Made(*vars(made).values())})
    made.written = written
    own = projection.plane(X, classes, np.ones(len(X), int), {"smote": made})
    np.testing.assert_allclose(own["synthetic/smote/pca"], same["synthetic/smote/pca"], atol=1e-4)
    first, second = found["embedding"][0], found["embedding"][3]
    np.testing.assert_allclose(found["synthetic/smote/embedding"][0], first + 0.25 * (second - first), rtol=1e-5)
    assert found["synthetic/smote/labels"].tolist() == [0, 0]


def test_synthetic_rows_are_shown_where_both_parents_are(monkeypatch):
    X, classes = clouds()
    made = Made(np.array([0, 1]), np.array([[0, 3], [1, 4]]), np.array([0.5, 0.5], np.float32))
    named = np.ones(len(X), int)
    named[4] = 0
    found = projection.plane(X, classes, named, {"smote": made})
    assert (int(found["synthetic/smote/total"]), found["synthetic/smote/labels"].tolist()) == (2, [0])
    assert found["rows"][found["synthetic/smote/parents"][0]].tolist() == [0, 3]
    monkeypatch.setattr(projection, "MOST_SYNTHETIC", 1)
    assert len(projection.plane(X, classes, np.ones(len(X), int), {"smote": made})["synthetic/smote/labels"]) == 1

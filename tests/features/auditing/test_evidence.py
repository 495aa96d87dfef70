"""What the checks look at is of the right rows, roles, scale and pictures."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from features.auditing.pictured import COUNT, clean, pictures
from sklearn.preprocessing import StandardScaler

from pipeline.features.auditing.evidence import Synthetic, scaled, stratified


def with_view(evidence, image):
    rows = pd.concat([evidence.rows, evidence.rows.iloc[[image]].assign(view=1)], ignore_index=True)
    values = np.concatenate([evidence.features["shared"], evidence.features["shared"][[image]]])
    return dataclasses.replace(evidence, rows=rows, features={"shared": values})


def test_space_is_scaled_by_the_training_rows_of_the_first_fold():
    evidence = clean(folds=2)
    train = evidence.role() == "train"
    expected = StandardScaler().fit(evidence.features["shared"][train]).transform(evidence.features["shared"])
    np.testing.assert_allclose(evidence.space("shared"), expected, atol=1e-5)


def test_space_of_a_fold_is_scaled_by_its_own_training_rows():
    evidence = clean(folds=2)
    values = evidence.features["shared"]
    evidence = dataclasses.replace(evidence, features={"fold-0": values, "fold-1": values})
    train = evidence.role(1) == "train"
    np.testing.assert_allclose(evidence.space("fold-1")[train].mean(axis=0), 0, atol=1e-6)
    assert np.abs(evidence.space("fold-0")[train].mean(axis=0)).max() > 0.01
    assert evidence.file == "fold-0"


def test_what_is_not_finite_becomes_the_mean_and_spoils_no_other_value():
    X = np.arange(12, dtype=np.float32).reshape(4, 3)
    broken = X.copy()
    broken[1, 1], broken[2, 2] = np.nan, np.inf
    found = scaled(broken, np.arange(4))
    assert np.isfinite(found).all()
    assert (found[1, 1], found[2, 2]) == (0, 0)
    np.testing.assert_allclose(found[:, 0], scaled(X, np.arange(4))[:, 0])


def test_a_constant_feature_is_only_centred():
    assert (scaled(np.full((5, 2), 1e6, np.float32), np.arange(5)) == 0).all()


def test_an_augmented_view_has_the_picture_and_role_of_its_image_if_it_is_learned_from():
    train, test = with_view(clean(), 0), with_view(clean(), 6)
    assert (train.role()[0], train.role()[COUNT]) == ("train", "train")
    assert (test.role()[6], test.role()[COUNT]) == ("test", "")
    np.testing.assert_array_equal(train.picture(np.array([COUNT]))[0], pictures(clean())[0])


def test_a_view_does_not_find_its_own_picture():
    evidence = with_view(clean(), 0)
    table, distances = evidence.neighbours("shared")
    assert 0 not in table[COUNT]
    assert COUNT not in table[0]
    assert evidence.recall("shared") == 1
    assert (np.diff(distances, axis=1) >= 0).all()


def test_neighbours_are_searched_once():
    evidence = clean()
    assert evidence.neighbours("shared")[0] is evidence.neighbours("shared")[0]


def test_pictures_lie_where_the_store_has_them_and_not_where_the_rows_do():
    evidence = clean()
    order = np.random.default_rng(0).permutation(COUNT)
    moved = dataclasses.replace(evidence, rows=evidence.rows.iloc[order].reset_index(drop=True))
    np.testing.assert_array_equal(moved.picture(np.arange(COUNT)), pictures(evidence)[order])


def test_there_is_no_picture_of_imported_features_and_of_a_lost_image():
    evidence = clean()
    assert dataclasses.replace(evidence, take=None).picture(np.arange(3)) is None
    lost = dataclasses.replace(evidence, pictures=evidence.pictures.iloc[1:])
    assert not lost.shown[0]
    assert lost.shown[1:].all()


def test_groups_are_numbers_of_patients():
    assert clean().groups.tolist() == [number // 2 for number in range(COUNT)]


def test_labels_are_names_and_those_of_several_are_joined():
    evidence = clean()
    assert evidence.labels[:4].tolist() == ["A", "A", "B", "B"]
    marks = np.array([[1, 1], [0, 1], [0, -1]], np.int8)
    assert dataclasses.replace(evidence, targets=marks).labels.tolist() == ["A|B", "B", ""]
    assert dataclasses.replace(evidence, targets=np.array([1, -1])).labels.tolist() == ["B", ""]


def test_a_synthetic_row_lies_between_its_parents_unless_it_was_written():
    space = np.array([[0, 0], [2, 4]], np.float32)
    made = Synthetic(np.zeros(1, int), np.array([[0, 1]]), np.array([0.25], np.float32), 0, space)
    np.testing.assert_allclose(made.X, [[0.5, 1]])
    written = np.array([[9, 9]], np.float32)
    assert dataclasses.replace(made, written=written).X is written


@pytest.mark.parametrize("most", [100, 1000, 5000])
def test_a_stratified_sample_has_each_stratum_in_its_share(most):
    strata = np.repeat(["a", "b", "c"], [9000, 900, 100])
    rows = stratified(strata, most)
    assert len(np.unique(rows)) == len(rows) == most
    counts = pd.Series(strata[rows]).value_counts()
    for name, share in (("a", 0.9), ("b", 0.09), ("c", 0.01)):
        assert counts[name] == pytest.approx(share * most, abs=1)
    assert (stratified(strata, 20_000) == np.arange(10_000)).all()

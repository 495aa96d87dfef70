import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.heads.cases import carve, patient_folds
from tests.heads.made import cases

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=4, max_size=60)


@given(ROWS, st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_no_patient_is_in_two_folds_and_every_fold_gets_one(rows, folds):
    y, patients = np.array(rows).T
    of = patient_folds(y, patients, folds, (0,))
    assert len(of) == len(rows)
    assert all(len(set(of[patients == one])) == 1 for one in patients)
    assert len(set(of)) == min(folds, len(set(patients)))


def test_a_class_is_in_as_many_folds_as_it_has_patients():
    y = np.repeat([0, 1, 2], [90, 6, 2])
    patients = np.arange(98) // 2
    of = patient_folds(y, patients, 3, (0,))
    assert [len(set(of[y == label])) for label in range(3)] == [3, 3, 1]
    assert np.bincount(of[y == 0]).tolist() == [30, 30, 30]


def test_a_class_is_even_over_folds_whatever_the_rows_of_the_others():
    y, patients = np.repeat([0, 1], [20, 7]), np.concatenate([np.arange(20), np.repeat([20, 21], [6, 1])])
    of = patient_folds(y, patients, 2, (0,))
    assert np.bincount(of[y == 0]).tolist() == [10, 10]
    assert sorted(np.bincount(of[y == 1]).tolist()) == [1, 6]


def test_equal_seeds_give_equal_folds_and_others_others():
    y, patients = np.repeat([0, 1], [40, 20]), np.arange(60)
    one, same, other = (patient_folds(y, patients, 3, (seed,)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_what_is_carved_off_leaves_every_class_and_shares_no_patient(rows):
    y, patients = np.array(rows).T
    natural = np.arange(len(y)) % 3 != 0
    of = cases(np.zeros((len(y), 2), np.float32), y, patients, natural)
    every = np.arange(len(y))
    learn, stop = carve(of, every, (0,))
    assert set(y[learn]) == set(y)
    assert not set(patients[learn]) & set(patients[stop])
    assert natural[stop].all()


def test_what_is_carved_off_is_a_fifth_of_the_patients_with_every_class():
    y, patients = np.repeat([0, 1], [160, 40]), np.arange(200) // 2
    learn, stop = carve(cases(np.zeros((200, 2), np.float32), y, patients), np.arange(200), (0,))
    assert np.bincount(y[stop]).tolist() == [32, 8]
    assert learn.sum() == 160

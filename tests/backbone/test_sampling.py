import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.backbone.sampling import SAMPLERS, Rows, pools

VALUES = {"tempered": {"power": 0.5}, "effective": {"beta": 0.99}, "dynamic": {"floor": 0.1}, "two_phase": {"last": 2}}
BALANCED = ["weighted", "patient"]


def rows(targets, classes=5, groups=None, **given):
    targets = np.asarray(targets)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    return Rows(**{"targets": targets, "classes": classes, "groups": groups, "epoch": 1, "epochs": 10, **given})


def draw(name, given, seed=0, **values):
    return SAMPLERS[name](given, np.random.default_rng(seed), **(values or VALUES.get(name, {})))


labels = st.lists(st.integers(0, 4), min_size=1, max_size=80)
seeds = st.integers(0, 2**31)


@pytest.mark.parametrize("name", SAMPLERS)
@given(labels, st.data(), seeds)
@settings(max_examples=40, deadline=None)
def test_as_many_rows_are_drawn_as_there_are_and_one_seed_gives_one_order(name, labels, data, seed):
    groups = data.draw(st.lists(st.integers(0, 6), min_size=len(labels), max_size=len(labels)))
    epoch = data.draw(st.integers(1, 10))
    recall = np.array(data.draw(st.lists(st.floats(0, 1), min_size=5, max_size=5))) if epoch > 1 else None
    given = rows(labels, groups=groups, epoch=epoch, recall=recall)
    order = draw(name, given, seed)
    assert len(order) == len(labels)
    assert order.min() >= 0
    assert order.max() < len(labels)
    np.testing.assert_array_equal(draw(name, given, seed), order)


@pytest.mark.parametrize("name", BALANCED)
@given(labels, seeds)
@settings(max_examples=40, deadline=None)
def test_every_class_that_is_there_is_drawn_equally_often(name, labels, seed):
    labels = np.array(labels)
    drawn = np.bincount(labels[draw(name, rows(labels), seed)], minlength=5)[np.unique(labels)]
    assert drawn.max() - drawn.min() <= 1


@pytest.mark.parametrize("name", SAMPLERS)
@given(labels, seeds)
@settings(max_examples=40, deadline=None)
def test_no_row_is_drawn_twice_before_all_of_its_class_were(name, labels, seed):
    labels = np.array(labels)
    order = draw(name, rows(labels), seed)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        seen = order[labels[order] == label]
        for start in range(0, len(seen), len(members)):
            once = seen[start : start + len(members)]
            assert len(set(once)) == len(once)


def test_each_pass_through_a_class_has_an_order_of_its_own():
    labels = np.repeat([0, 1], [970, 30])
    order = draw("weighted", rows(labels))
    passes = order[labels[order] == 1][:480].reshape(16, 30)
    assert len(np.unique(passes, axis=0)) == 16
    often = np.bincount(order[labels[order] == 0], minlength=970)  # 500 of 970, from everywhere
    assert 200 < often[:485].sum() < 300


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_order_is_shuffled(name):
    order = draw(name, rows(np.arange(60) % 2, 2))
    assert sorted(order) == list(range(60))
    assert list(order) != list(range(60))


def test_without_a_sampler_each_row_is_seen_once():
    assert sorted(draw("none", rows([0] * 40 + [1] * 10))) == list(range(50))


def counts(labels, order):
    return np.bincount(np.asarray(labels)[order]).tolist()


SKEWED = [0] * 900 + [1] * 100


def test_tempering_by_a_half_draws_by_the_square_root_of_the_counts():
    assert counts(SKEWED, draw("tempered", rows(SKEWED), power=0.5)) == [750, 250]


def test_tempering_by_nothing_is_as_the_data_are_and_by_all_is_weighted():
    assert counts(SKEWED, draw("tempered", rows(SKEWED), power=0)) == [900, 100]
    np.testing.assert_array_equal(draw("tempered", rows(SKEWED), power=1), draw("weighted", rows(SKEWED)))


def test_the_effective_number_on_literal_numbers():
    # (1 - .99^900) / .01 = 99.988, (1 - .99^100) / .01 = 63.397: weights .010001 and .015774 a row
    shares = np.array([900 / 99.98820, 100 / 63.39677])
    expected = 1000 * shares / shares.sum()  # 850.9, 149.1
    drawn = [counts(SKEWED, draw("effective", rows(SKEWED), seed, beta=0.99))[1] for seed in range(200)]
    assert set(drawn) == {149, 150}
    assert np.mean(drawn) == pytest.approx(expected[1], abs=0.1)


def test_a_fraction_of_a_draw_is_rounded_up_as_often_as_it_says():
    labels = [0] * 5 + [1] * 3 + [2] * 2  # quotas of 10 / 3
    drawn = np.array([counts(labels, draw("weighted", rows(labels), seed)) for seed in range(900)])
    assert set(drawn.ravel()) == {3, 4}
    np.testing.assert_allclose(drawn.mean(0), 10 / 3, atol=0.06)


def test_dynamic_draws_more_of_what_validation_misses():
    given = rows(SKEWED, 2, epoch=2, recall=np.array([1.0, 0.4]))
    assert counts(SKEWED, draw("dynamic", given, floor=0.2)) == [200, 800]  # .2 and .8


def test_dynamic_begins_as_weighted_and_a_class_without_recall_takes_the_mean():
    np.testing.assert_array_equal(draw("dynamic", rows(SKEWED, 2)), draw("weighted", rows(SKEWED, 2)))
    nowhere = rows(SKEWED, 2, epoch=2, recall=np.array([np.nan, np.nan]))
    np.testing.assert_array_equal(draw("dynamic", nowhere), draw("weighted", nowhere))
    three = [0] * 30 + [1] * 30 + [2] * 30
    given = rows(three, 3, epoch=2, recall=np.array([0.9, 0.1, np.nan]))
    assert counts(three, draw("dynamic", given, floor=0.1)) == [10, 50, 30]  # .2, 1 and .6 of 1.8


def test_two_phase_ends_as_the_data_are():
    drawn = [counts(SKEWED, draw("two_phase", rows(SKEWED, epoch=epoch), last=2)) for epoch in (1, 8, 9, 10)]
    assert drawn == [[500, 500], [500, 500], [900, 100], [900, 100]]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=80), seeds)
@settings(max_examples=60, deadline=None)
def test_patient_draws_patients_of_a_class_equally_often_and_the_rows_of_a_patient_too(pairs, seed):
    labels, groups = np.array(pairs).T
    order = draw("patient", rows(labels, 3, groups), seed)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        times = np.bincount(groups[of_class], minlength=6)[np.unique(groups[labels == label])]
        assert times.max() - times.min() <= 1
        for group in np.unique(groups[labels == label]):
            members = (labels == label) & (groups == group)
            often = np.bincount(of_class, minlength=len(labels))[members]
            assert often.max() - often.min() <= 1


def test_patient_on_literal_numbers():
    # class 0: patient 7 has six pictures, patient 8 two; class 1: patient 7 has four.
    order = draw("patient", rows([0] * 8 + [1] * 4, 2, [7] * 6 + [8] * 2 + [7] * 4))
    assert np.bincount(np.repeat([0, 1, 2], [6, 2, 4])[order]).tolist() == [3, 3, 6]
    assert sorted(np.bincount(order, minlength=12)[6:]) == [1, 1, 1, 2, 2, 2]


MULTILABEL = np.array([[1, 0, 1], [1, 0, 0], [1, 1, -1], [0, 0, 0], [-1, -1, -1], [-1, 1, 0], [1, 0, 0]], np.int8)


def test_a_row_with_several_labels_is_drawn_for_the_rarest_that_it_has():
    assert pools(MULTILABEL, 3).tolist() == [2, 0, 1, 3, 3, 1, 0]  # 4, 2 and 1 rows have them; 3 is nothing found


def test_of_equally_rare_labels_the_first_counts():
    assert pools(np.array([[1, 1], [1, 1]], np.int8), 2).tolist() == [0, 0]


@pytest.mark.parametrize("name", SAMPLERS)
def test_rows_with_several_labels_are_drawn_too(name):
    order = draw(name, rows(MULTILABEL, 3, epoch=2, recall=np.array([0.5, np.nan, 0.2])))
    assert len(order) == 7


def test_nothing_found_is_balanced_like_a_class():
    targets = np.zeros((40, 2), np.int8)
    targets[:3, 0] = targets[3:5, 1] = 1
    order = draw("weighted", rows(targets, 2))
    drawn = np.bincount(pools(targets, 2)[order])
    assert drawn.sum() == 40
    assert drawn.max() - drawn.min() <= 1


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_other_label_of_a_row_is_rarer_than_the_one_it_is_drawn_for(targets):
    targets = np.array(targets, np.int8)
    often = (targets == 1).sum(0)
    for row, pool in zip(targets, pools(targets, 3), strict=True):
        assert pool == 3 if not (row == 1).any() else row[pool] == 1 and often[pool] == often[row == 1].min()


@pytest.mark.slow
def test_there_is_no_limit_where_that_of_torch_is():
    n = 2**24 + 1000
    labels = (np.arange(n) % 1000 == 0).astype(np.int8)
    order = draw("weighted", rows(labels, 2))
    assert np.bincount(labels[order]).tolist() == [n // 2, n // 2]
    rare = np.bincount(order, minlength=n)[labels == 1]
    assert rare.max() - rare.min() <= 1

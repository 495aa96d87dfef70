import pytest

from pipeline.heads.classifiers import HEADS
from pipeline.heads.estimators import limits

MILLION = [700_000, 200_000, 90_000, 10_000]


@pytest.mark.parametrize("name", HEADS)
def test_what_grows_with_its_rows_alone_has_no_estimate(name):
    small, large = (limits.cost(name, {}, [4 * n for n in MILLION[::-1]], 512, n) for n in (10**5, 4 * 10**5))
    assert (small is None) == (name not in SLOW)
    assert small is None or large.seconds >= small.seconds > 0


SLOW = {"knn", "random_forest", "balanced_random_forest", "balanced_bagging", "easy_ensemble", "rus_boost"}


def test_nearest_rows_are_sought_among_all_for_each_that_is_asked():
    one, both = (limits.cost("knn", {}, [n, n], 512, 2 * n) for n in (100_000, 500_000))
    assert both.seconds == 25 * one.seconds
    assert both.bytes == 1_000_000 * 512 * 4
    assert str(both) == "about 14 h and 2.0 GB"


def test_a_forest_says_what_its_nodes_take():
    wide = limits.cost("random_forest", {"n_estimators": 200}, MILLION, 512, 100_000)
    pruned = limits.cost("random_forest", {"n_estimators": 200, "min_samples_leaf": 50}, MILLION, 512, 100_000)
    assert wide.bytes == 50 * pruned.bytes == 200 * 2 * 1_000_000 * (64 + 8 * 4)
    assert str(limits.cost("random_forest", {}, [600, 400], 100, 10)) == "about 1 s and 0.0 GB"


def test_balanced_ensembles_learn_from_the_rows_of_the_rarest_class_and_as_many_of_others():
    few, many = (limits.cost("balanced_random_forest", {}, [n, 50], 512, 10) for n in (1_000, 100_000))
    assert few == many

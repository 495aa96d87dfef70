import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.heads import arms, budget, memory
from pipeline.heads.named import Stack, Vote
from tests.heads.made import LOGISTIC, PROTOCOL, blobs, cases, pair

FOREST = pair(head="random_forest", of_head={"n_estimators": 100})


@pytest.fixture
def of():
    X, y = blobs([60, 40])
    return cases(X, y)


def seconds(of, arm):
    return budget.seconds(of, np.arange(80), 20, arm, PROTOCOL)


def test_a_search_and_a_stack_take_what_their_fits_take(of):
    once = seconds(of, FOREST)
    assert once > 0
    lists = pair("smote", "random_forest", {"k_neighbors": [3, 5]}, {"n_estimators": [50, 100]})
    assert seconds(of, lists) == pytest.approx((1 + 2 * 4) * once, rel=1e-3)  # SMOTE of 80 rows is nothing
    assert seconds(of, Vote({"a": FOREST, "b": FOREST})) == pytest.approx(2 * once)
    assert seconds(of, Stack({"a": FOREST, "b": pair()}, 1.0)) == pytest.approx(3 * once)


def test_resampling_is_done_once_for_all_heads_that_are_tried_on_it():
    of = cases(np.zeros((20_000, 512), np.float32), np.repeat([0, 1], [12_000, 8_000]))
    arm = pair("smote", of_head={**LOGISTIC, "C": [0.1, 1.0]}), pair("smote")
    chosen, once = (budget.seconds(of, np.arange(20_000), 0, one, PROTOCOL) for one in arm)
    assert chosen == pytest.approx(3 * once)
    assert 0.2 < once < 5


def test_a_strategy_by_names_of_classes_is_known(of):
    named = pair("smote", of_resampler={"strategy": {"B": 10**11}})
    with pytest.raises(PipelineError, match=r"smote of 80 rows of 6 features: takes about 3352\.8 GiB of memory"):
        arms.fit_fold(of, np.arange(80), np.arange(80, 100), named, PROTOCOL, (0, 0))


def test_what_grows_no_faster_than_its_rows_is_not_counted(of):
    assert seconds(of, pair(of_head={**LOGISTIC, "C": [0.1, 1]})) == 0


def test_a_label_that_is_never_present_costs_nothing():
    X, y = blobs([60, 40])
    assert seconds(cases(X, np.minimum(y, 0), classes=arms.MARKS), FOREST) == 0


def test_a_head_that_does_not_fit_into_memory_is_refused_before_it_starts(of, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1e4)
    with pytest.raises(PipelineError, match=r"random_forest would take about 0 s and 0\.0 GB on 80 rows, and 0\.0 GB"):
        arms.fit_fold(of, np.arange(80), np.arange(80, 100), FOREST, PROTOCOL, (0, 0))


def test_rows_that_do_not_fit_into_memory_are_refused_before_they_are_copied(of, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 80 * 6 * 4 - 1)
    with pytest.raises(PipelineError, match=r"the training rows take 0\.0 GB, and 0\.0 GB of memory are free"):
        arms.fit_fold(of, np.arange(80), np.arange(80, 100), pair(), PROTOCOL, (0, 0))
    monkeypatch.setattr(memory, "available", lambda: 80 * 6 * 4)
    arms.fit_fold(of, np.arange(80), np.arange(80, 100), pair(), PROTOCOL, (0, 0))

"""One suite over every resampler, whatever it does."""

import inspect
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import ROOT
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.heads.resamplers import RESAMPLERS
from pipeline.heads.resampling.costs import cost, foretell
from pipeline.heads.resampling.rows import Rows

VALUES = YAML(typ="safe").load(ROOT / "params.yaml")["resamplers"]
TAKES = {name: set(inspect.signature(function).parameters) for name, function in RESAMPLERS.items()}
OVER = [
    "random_over",
    "smote",
    "borderline_smote",
    "adasyn",
    "svm_smote",
    "kmeans_smote",
    "smote_tomek",
    "smote_enn",
    "remix",
    "eos",
    "mgs",
]
CLEANING = ["smote_tomek", "smote_enn", "tomek_links", "edited_nearest_neighbours"]
EXACT = ["random_over", "smote", "borderline_smote", "svm_smote", "kmeans_smote", "remix", "eos", "mgs"]
UNDER = ["random_under", "near_miss", "cluster_centroids"]
CROSS = [name for name, takes in TAKES.items() if "cross_patient" in takes]
DRAWN = [*OVER, "random_under"]


def blobs(sizes, dimensions=6, seed=0, apart=2.0, images=3):
    """Shuffled classes; patients have a few images each, of one class."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), dimensions)) + apart * rng.normal(size=(len(sizes), dimensions))[y]
    patients = np.arange(len(y)) // images + 1000 * y
    order = rng.permutation(len(y))
    return Rows(X[order].astype(np.float32), y[order], patients[order])


def resample(name, rows, seed=0, **changed):
    return RESAMPLERS[name](rows, np.random.RandomState(seed), **{**VALUES[name], **changed})


def reproduced(rows, made):
    one, other = (rows.X[made.parents[:, side]].astype(np.float64) for side in (0, 1))
    return one + made.shares[:, None] * (other - one)


def test_params_yaml_holds_every_resampler_and_no_other():
    assert list(VALUES) == list(RESAMPLERS)


@pytest.mark.parametrize("name", RESAMPLERS)
@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=4),
    st.sampled_from(["full", 0.5, 0.1]),
    st.booleans(),
    st.integers(0, 2**31),
)
@settings(max_examples=20, deadline=None)
def test_real_rows_come_first_unchanged_and_no_class_is_invented_or_emptied(name, sizes, strategy, cross, seed):
    rows = blobs(sizes, seed=seed, apart=0.5)
    before = rows.X.copy()
    given_values = {"strategy": strategy, "cross_patient": cross}
    made = resample(name, rows, seed, **{key: value for key, value in given_values.items() if key in TAKES[name]})
    real = len(made.kept)
    np.testing.assert_array_equal(rows.X, before)
    np.testing.assert_array_equal(made.X[:real], rows.X[made.kept])
    np.testing.assert_array_equal(made.y[:real], rows.y[made.kept])
    assert (np.diff(made.kept) > 0).all()
    assert set(made.y) == set(rows.y)
    assert made.X.dtype == np.float32
    assert np.isfinite(made.X).all()
    assert len(made.X) == len(made.y) == real + len(made.parents)
    assert made.shares.shape == (len(made.parents),)
    np.testing.assert_array_equal(rows.y[made.parents[:, 0]], made.y[real:])


@pytest.mark.parametrize("name", [name for name in OVER if name != "mgs"])
def test_parents_and_shares_reproduce_every_synthetic_row(name):
    rows = blobs([90, 40, 25], apart=0.5)
    made = resample(name, rows)
    assert len(made.parents) > 50
    np.testing.assert_allclose(made.X[len(made.kept) :], reproduced(rows, made), atol=1e-5)


@pytest.mark.parametrize("name", RESAMPLERS)
def test_equal_seeds_give_equal_rows_and_others_others(name):
    rows = blobs([80, 30, 20], apart=0.5)
    one, same, other = (resample(name, rows, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.X, same.X)
    np.testing.assert_array_equal(one.parents, same.parents)
    assert name not in DRAWN or not np.array_equal(one.X, other.X)


@pytest.mark.parametrize("name", CROSS)
def test_parents_are_of_two_patients_where_that_is_demanded(name):
    rows = blobs([90, 40, 25], apart=0.5)
    rows = Rows(rows.X, rows.y, np.random.default_rng(0).integers(0, 20, 155))
    same = [rows.patients[resample(name, rows, cross_patient=cross).parents] for cross in (False, True)]
    together, apart = ((pair[:, 0] == pair[:, 1]).sum() for pair in same)
    assert together > 0
    assert apart == 0


@pytest.mark.parametrize("name", CROSS)
def test_a_class_of_one_patient_is_repeated_where_two_are_demanded_and_says_so(name):
    rows = blobs([60, 12], apart=0.5, images=20)
    made = resample(name, Rows(rows.X, rows.y, np.where(rows.y == 1, 7, np.arange(72))), cross_patient=True)
    if name in ("remix", "eos"):  # which mix with other classes
        assert not made.notes
    else:
        assert "all its rows are of one patient, random_over instead of mixtures" in made.notes[1]
        synthetic = made.parents[made.y[len(made.kept) :] == 1]
        np.testing.assert_array_equal(synthetic[:, 0], synthetic[:, 1])


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(
    ("strategy", "counts"),
    [("full", [60, 60, 60]), (0.5, [60, 30, 30]), (0.4, [60, 25, 24]), ({1: 33, 2: 21}, [60, 33, 21])],
)
def test_over_samplers_add_as_many_rows_as_asked_for(name, strategy, counts):
    made = resample(name, blobs([60, 25, 20], apart=0.5), strategy=strategy)
    assert np.bincount(made.y).tolist() == counts
    assert len(made.kept) == 105


@pytest.mark.parametrize("name", UNDER)
@pytest.mark.parametrize(
    ("strategy", "counts"), [("full", [20, 20, 20]), (0.5, [40, 25, 20]), ({0: 7, 1: 3}, [7, 3, 20])]
)
def test_under_samplers_keep_as_many_rows_as_asked_for(name, strategy, counts):
    assert np.bincount(resample(name, blobs([60, 25, 20]), strategy=strategy).y).tolist() == counts


def test_counts_that_a_class_can_not_have_are_said_and_change_nothing():
    rows = blobs([60, 25, 20])
    over = resample("smote", rows, strategy={1: 10, 7: 50})
    under = resample("random_under", rows, strategy={1: 30})
    assert over.notes == {1: "has 25 rows, 10 were asked for: none added", 7: "no row to make others from"}
    assert under.notes == {1: "has 25 rows, 30 were asked for: none removed"}
    assert len(over.y) == len(under.y) == 105


@pytest.mark.parametrize("strategy", ["fully", 0.0, 1.5, True, {1: 0}])
@pytest.mark.parametrize("name", ["smote", "random_under"])
def test_a_strategy_that_is_none_is_refused_with_what_there_is(name, strategy):
    with pytest.raises(PipelineError, match=r"write full, a ratio in \(0, 1\], or \{class: rows\}"):
        resample(name, blobs([20, 10]), strategy=strategy)


@pytest.mark.parametrize("name", RESAMPLERS)
def test_one_class_alone_stays_as_it_is(name):
    made = resample(name, blobs([12]))
    assert len(made.kept) == len(made.y) == 12
    if "strategy" in TAKES[name]:
        assert made.notes == {0: "the only class, nothing to balance"}


@pytest.mark.parametrize("name", RESAMPLERS)
def test_constant_features_are_no_fault(name):
    rows = blobs([40, 20])
    made = resample(name, Rows(np.full((60, 6), 2.5, np.float32), rows.y, rows.patients))
    np.testing.assert_allclose(made.X, 2.5, rtol=1e-6)
    assert set(made.y) == {0, 1}


@pytest.mark.parametrize("name", OVER)
def test_a_class_of_one_row_is_repeated_and_says_so(name):
    rows = blobs([40, 1], apart=10)
    made = resample(name, rows)
    if name in ("remix", "eos"):  # which mix with other classes
        rows = blobs([40, 1], apart=0.0)
        assert set(resample(name, rows).y) == {0, 1}
    else:
        assert name == "random_over" or "one row, random_over instead of mixtures" in made.notes[1]
        assert (made.X[made.y == 1] == rows.X[rows.y == 1]).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused_with_their_number_and_the_remedy(broken):
    rows = blobs([20, 10])
    rows.X[[3, 17], [0, 5]] = broken
    with pytest.raises(PipelineError, match=r"2 of 30 rows hold NaN or infinite values\n.*dvc repro audit"):
        Rows(rows.X, rows.y, rows.patients)


@pytest.mark.parametrize("name", ["random_over", "smote", "borderline_smote", "adasyn", "mgs", "eos", "remix"])
def test_no_more_is_held_than_half_of_the_output_besides_it(name):
    rows = blobs([9000, 1500], dimensions=512, apart=0.1)
    resample(name, blobs([40, 20], apart=0.5))  # what is compiled or imported stays out of it
    tracemalloc.start()
    made = resample(name, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * made.X.nbytes


@pytest.mark.parametrize("name", ["none"])
def test_rows_that_stay_as_they_are_are_not_copied(name):
    rows = blobs([20, 10])
    assert resample(name, rows).X is rows.X


def test_rows_for_which_there_is_no_memory_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr("pipeline.heads.memory.available", lambda: 1000.0)
    with pytest.raises(PipelineError, match=r"120 rows take 0.0 GiB, 0.0 GiB are free\n.*a smaller strategy"):
        resample("smote", blobs([60, 20]))


def test_what_takes_long_or_too_much_memory_is_said_before_it_starts(monkeypatch):
    assert foretell("smote_tomek", [800, 200], 512) == ""
    said = foretell("smote_tomek", [900_000, 100_000], 64)
    assert said == "smote_tomek of 1000000 rows of 64 features takes about 84 minutes on one core"
    assert foretell("smote_tomek", [900_000, 100_000], 64, strategy=0.2) < said
    assert foretell("none", [900_000, 100_000], 64) == ""
    monkeypatch.setattr("pipeline.heads.memory.available", lambda: 2.0**30)
    with pytest.raises(PipelineError, match=r"takes about 5.1 GiB of memory, 1.0 GiB are free"):
        foretell("smote", [900_000, 100_000], 512)


@pytest.mark.parametrize("name", RESAMPLERS)
def test_the_cost_of_every_resampler_grows_with_the_rows(name):
    small, large = cost(name, [800, 200], 64), cost(name, [8000, 2000], 64)
    assert small.bytes <= large.bytes
    assert name == "none" or small.seconds < large.seconds

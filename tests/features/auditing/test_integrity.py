"""What is odd about the numbers themselves is found with its rows and dimensions."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pipeline.features.auditing import evidence as seen
from pipeline.features.auditing import integrity
from pipeline.features.auditing.evidence import Evidence

NUMBERS = ("duplicated_dimensions", "unused_dimensions", "norms", "saturated")
LIMITS = {"duplicated_dimensions": 0.1, "unused_dimensions": 0.99, "norms": 10, "saturated": 0.01}


def clean(seed=0, count=300, width=40):
    """Rectified features, as networks give them."""
    rng = np.random.default_rng(seed)
    ids = [f"1.2.{number:03d}" for number in range(count)]
    X = np.maximum(rng.normal(size=(count, width)) + 0.3, 0).astype(np.float32)
    return Evidence(
        features={"shared": X}, rows=pd.DataFrame({"image_id": ids, "fingerprint": ids}, dtype="str").assign(view=0)
    )


def changed(change, evidence=None):
    values = (evidence or clean()).features["shared"].copy()
    change(values)
    return dataclasses.replace(evidence or clean(), features={"shared": values, "other": clean(1).features["shared"]})


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", NUMBERS)
def test_clean_features_raise_nothing(name, seed):
    assert getattr(integrity, name)(clean(seed), LIMITS[name]).verdict == "ok"


def test_dimensions_that_repeat_another_are_counted_and_named():
    def repeat(values):
        values[:, 7], values[:, 9] = values[:, 2], values[:, 2]

    finding = integrity.duplicated_dimensions(changed(repeat), 0.01)
    assert (finding.verdict, finding.value) == ("look", 2 / 40)
    assert finding.figures["dimensions"] == [7, 9]
    assert "shared.npy that repeat an earlier one: 2 of 40: 7, 9." in finding.finding


def test_constant_dimensions_are_dead_and_not_repeated():
    assert integrity.duplicated_dimensions(changed(lambda values: values[:, :5].fill(0)), 0).value == 0


def test_a_row_of_another_length_is_named_the_farthest_first():
    def stretch(values):
        values[5] *= 50
        values[11] *= 0

    finding = integrity.norms(changed(stretch), 10)
    assert (finding.verdict, finding.rows) == ("look", ["1.2.011", "1.2.005"])
    assert finding.table["length"].tolist()[0] == 0
    assert "the farthest of 0" in finding.finding


def test_robust_deviations_are_those_of_a_hand_calculation():
    values = np.array([0.0, 1.0, 2.0, 3.0, 100.0])  # median 2, median distance 1
    np.testing.assert_allclose(integrity._robust(values), (values - 2) / 1.4826)


def test_rows_that_were_normalised_have_no_odd_lengths():
    evidence = clean()
    values = evidence.features["shared"]
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert integrity.norms(dataclasses.replace(evidence, features={"shared": unit}), 10).value < 1


def test_effective_rank_of_equal_singular_values_is_their_number():
    corners = np.concatenate([np.eye(8), -np.eye(8)]).astype(np.float32)
    wide = np.concatenate([corners, np.zeros((16, 24), np.float32)], axis=1)
    assert integrity._effective_rank(corners + 5) == pytest.approx(8, rel=1e-4)
    assert integrity._effective_rank(wide) == pytest.approx(8, rel=1e-4)


def test_effective_rank_is_that_of_the_singular_value_decomposition():
    X = clean().features["shared"]
    s = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    p = s / s.sum()
    assert integrity._effective_rank(X) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-4)


def test_features_that_collapsed_to_a_line_use_one_dimension():
    line = np.outer(np.linspace(-1, 1, 300), np.arange(1, 129)).astype(np.float32)
    evidence = dataclasses.replace(clean(), features={"shared": line})
    finding = integrity.unused_dimensions(evidence, 0.99)
    assert (finding.verdict, finding.value) == ("look", pytest.approx(1 - 1 / 128, abs=1e-4))
    assert "in effect in 1 of 128 dimensions" in finding.finding


def test_values_that_pile_up_at_an_end_are_saturated_and_zeros_of_a_rectifier_are_not():
    assert integrity.saturated(clean(), 0).value == 0
    finding = integrity.saturated(changed(lambda values: values.clip(max=0.8, out=values)), 0.01)
    assert finding.verdict == "look"
    share = np.mean(clean().features["shared"] >= 0.8) - 1 / 300
    assert finding.value == pytest.approx(share, abs=1e-6)


def test_whole_numbers_are_counts_and_not_saturated():
    assert integrity.saturated(changed(lambda values: np.rint(values, out=values)), 0).value == 0


@pytest.mark.parametrize("name", NUMBERS)
def test_features_are_looked_at_in_parts_as_well_as_at_once(name, monkeypatch):
    evidence = changed(lambda values: values[:5].clip(max=0.5, out=values[:5]))
    whole = getattr(integrity, name)(evidence, 0)
    monkeypatch.setattr(seen, "AT_ONCE", 7 * 40 * 4)
    parted = getattr(integrity, name)(evidence, 0)
    assert parted.value == pytest.approx(whole.value, rel=1e-5)
    assert parted.rows == whole.rows


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_not_finite_breaks_no_check(name):
    with np.errstate(all="ignore"):
        getattr(integrity, name)(changed(lambda values: values.__setitem__((4, 2), np.nan)), LIMITS[name])
        getattr(integrity, name)(changed(lambda values: values.__setitem__((4, 2), np.inf)), LIMITS[name])

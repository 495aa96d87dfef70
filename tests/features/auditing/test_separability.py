"""A rare class without a place of its own, a row that is everybody's neighbour: found and named."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from features.auditing import sets
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from pipeline.features.auditing import learning, separability

NOISE, HUBS = 0.5, 5.0


def scattered(seed=0):
    """Rows of the rare class lie where those of the common one do."""
    evidence = sets.clean(seed, patients=500, shares=(0.82, 0.16, 0.02))
    X = np.array(evidence.features["fold-0"])
    rare = evidence.targets == 2
    X[rare] = np.random.default_rng(seed).normal(size=(rare.sum(), sets.WIDTH))
    X[rare, 0] += sets.APART / np.sqrt(2)
    return sets.with_features(evidence, X)


def test_a_rare_class_that_is_scattered_in_another_is_named_with_its_rows():
    evidence = scattered()
    finding = separability.separability(evidence, NOISE)
    assert finding.verdict == "look"
    assert finding.finding.startswith("rare is the least separable rare class")
    rows = finding.table[finding.table["class"] == "rare"]
    assert set(rows["image_id"]) <= sets.ids(evidence, evidence.targets == 2)
    assert (rows["others"] == 10).all()
    assert len(rows) == finding.figures["classes"]["rare"]["noise"]
    assert max(finding.figures["classes"]["rare"]["overlap"].items(), key=lambda item: item[1])[0] == "common"


def test_safe_borderline_and_noise_are_those_of_the_paper():
    """Of m = 10 neighbours: m' = 10 noise, 5 ≤ m' < 10 danger, m' < 5 safe (Han et al. 2005, section 3)."""
    expected = ["safe"] * 5 + ["borderline"] * 5 + ["noise"]
    assert [separability.KINDS[kind] for kind in separability.kinds(np.arange(11), 10)] == expected
    assert [separability.KINDS[kind] for kind in separability.kinds(np.arange(4), 3)] == [
        "safe",
        "safe",
        "borderline",
        "noise",
    ]


def test_the_neighbours_are_training_rows_and_those_of_scikit_learn():
    evidence = sets.clean(1, apart=1.5)
    asked, others, m, sampled = separability.neighbourhoods(evidence, next(iter(learning.questions(evidence))))
    train, space, y = np.flatnonzero(evidence.role() == "train"), evidence.space("fold-0"), evidence.targets
    assert (m, sampled) == (10, False)
    assert asked.tolist() == [row for row in train if y[row] != 0]  # the largest class needs no rows
    found = NearestNeighbors(n_neighbors=11).fit(space[train]).kneighbors(space[asked], return_distance=False)[:, 1:]
    assert others.tolist() == (y[train[found]] != y[asked][:, None]).sum(axis=1).tolist()


def test_of_many_rows_a_sample_with_an_equal_part_of_each_class_is_asked(monkeypatch):
    monkeypatch.setattr(separability, "MOST", 40)
    evidence = sets.clean(2)
    asked, _, _, sampled = separability.neighbourhoods(evidence, next(iter(learning.questions(evidence))))
    assert sampled
    assert np.bincount(evidence.targets[asked]).tolist() == [0, 20, 20]
    assert "of a sample of 20 training rows" in separability.separability(evidence, NOISE).finding


def test_purity_and_overlap_are_shares_of_the_neighbours_of_other_patients():
    evidence = sets.clean(3, apart=1.5)
    table, _ = evidence.neighbours("fold-0")
    other = evidence.groups[table] != evidence.groups[:, None]
    figures = separability.separability(evidence, NOISE).figures["classes"]
    for label, name in enumerate(sets.CLASSES):
        own = evidence.targets == label
        shares = [
            (evidence.targets[row[keep]] == label).mean() for row, keep in zip(table[own], other[own], strict=True)
        ]
        assert figures[name]["purity"] == pytest.approx(np.mean(shares))
        assert figures[name]["purity"] + sum(figures[name]["overlap"].values()) == pytest.approx(1)
        assert figures[name]["chance"] == pytest.approx(own.mean())


def test_a_class_of_a_few_training_rows_is_not_judged():
    evidence = scattered()
    y = np.where((evidence.targets == 2) & (np.cumsum(evidence.targets == 2) > 9), 0, evidence.targets)
    finding = separability.separability(dataclasses.replace(evidence, targets=y), NOISE)
    assert finding.finding.startswith("middle is the least")
    assert finding.verdict == "ok"


def test_a_row_that_all_others_are_near_is_a_hub():
    """Rows on a sphere around a few in its middle."""
    rng = np.random.default_rng(0)
    evidence = sets.clean(4)
    X = rng.normal(size=(600, sets.WIDTH))
    X *= 10 / np.linalg.norm(X, axis=1, keepdims=True)
    X[[11, 222]] = 0.01 * rng.normal(size=(2, sets.WIDTH))
    finding = separability.hubness(sets.with_features(evidence, X), HUBS)
    assert finding.verdict == "look"
    assert set(finding.rows[:2]) == {"1.2.0011", "1.2.0222"}
    assert finding.figures["most"] == finding.table["of"].max() > 500
    assert separability.hubness(evidence, HUBS).rows == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=40))
def test_skewness_is_that_of_scipy(counts):
    if len(set(counts)) > 1:
        assert separability.skewness(np.array(counts)) == pytest.approx(scipy.stats.skew(counts))
    else:
        assert separability.skewness(np.array(counts)) == 0

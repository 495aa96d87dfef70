"""Sets without a fault raise nothing, and sets that are hardly sets are no crash."""

import dataclasses
import json

import numpy as np
import pytest
from features.auditing import sets

from pipeline import params
from pipeline.features.auditing import labels, outliers, separability, shift, shortcuts, synthetic

CHECKS = {
    "suspicious_labels": labels.suspicious_labels,
    "shortcuts": shortcuts.shortcuts,
    "shift": shift.shift,
    "overfit_gap": shift.overfit_gap,
    "outliers": outliers.outliers,
    "separability": separability.separability,
    "hubness": separability.hubness,
    "synthetic": synthetic.synthetic,
}
THRESHOLDS = dataclasses.asdict(params.load().audit)


def run(evidence):
    return {name: check(evidence, THRESHOLDS[name]) for name, check in CHECKS.items()}


def test_of_twenty_clean_sets_none_raises_an_alarm():
    """Half of them well separated, half so near to each other that a tenth of the rows is told wrongly."""
    alarms = dict.fromkeys(CHECKS, 0)
    for seed in range(20):
        made = (("smote", sets.mixtures),)
        evidence = sets.clean(seed, apart=(4.0, 2.5)[seed % 2], trained=seed % 4 < 2, patients=120, synthetic=made)
        for name, finding in run(evidence).items():
            alarms[name] += finding.verdict != "ok"
    assert alarms == dict.fromkeys(CHECKS, 0)


def of_one_class(evidence):
    return dataclasses.replace(evidence, targets=np.zeros(len(evidence.targets), int))


def without_labels(evidence):
    return dataclasses.replace(evidence, targets=np.full(len(evidence.targets), -1))


def without_classes(evidence):
    return dataclasses.replace(evidence, targets=np.zeros(0, int), classes=())


def constant(evidence):
    return sets.with_features(evidence, np.ones((len(evidence.targets), 5)))


def not_finite(evidence):
    X = np.array(evidence.features["fold-0"])
    X[3, 4], X[-1] = np.nan, np.inf
    return sets.with_features(evidence, X)


def all_in_training(evidence):
    return dataclasses.replace(evidence, roles=evidence.roles.assign(role="train"))


def none_in_training(evidence):
    return dataclasses.replace(evidence, roles=evidence.roles.assign(role="test"))


def each_image_a_patient_and_a_class(evidence):
    roles = evidence.roles.assign(group=evidence.roles["image_id"])
    count = len(evidence.targets)
    return dataclasses.replace(evidence, roles=roles, targets=np.arange(count), classes=[f"c{n}" for n in range(count)])


def wider_than_long(evidence):
    return sets.with_features(evidence, np.random.default_rng(0).normal(size=(len(evidence.targets), 300)))


@pytest.mark.parametrize("patients", [2, 30])
@pytest.mark.parametrize(
    "change",
    [
        of_one_class,
        without_labels,
        without_classes,
        constant,
        not_finite,
        all_in_training,
        none_in_training,
        each_image_a_patient_and_a_class,
        wider_than_long,
    ],
)
def test_sets_that_nothing_can_be_learned_from_are_no_crash_and_can_be_written(change, patients):
    for name, finding in run(change(sets.clean(0, patients=patients))).items():
        assert np.isfinite(finding.value), name
        assert finding.finding.endswith("."), name
        json.dumps({"figures": finding.figures, "value": finding.value, "rows": finding.rows}, allow_nan=False)


def test_the_answer_is_the_same_twice():
    made = (("smote", sets.mixtures),)
    first, second = (run(sets.clean(0, synthetic=made)) for _ in range(2))
    for name in CHECKS:
        assert first[name] == second[name]
        assert first[name].figures == second[name].figures
        if first[name].table is not None:
            assert first[name].table.equals(second[name].table)

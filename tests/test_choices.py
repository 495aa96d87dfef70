import inspect

import pytest

from pipeline import choices
from pipeline.backbone.losses import LOSSES
from pipeline.backbone.models import POLICIES
from pipeline.backbone.sampling import SAMPLERS
from pipeline.choices import Choice, balances, choice


@pytest.mark.parametrize(
    ("table", "registry"),
    [(choices.SAMPLERS, SAMPLERS), (choices.LOSSES, LOSSES), (choices.POLICIES, POLICIES)],
    ids=["samplers", "losses", "policies"],
)
def test_params_offer_exactly_the_entries_of_the_registry_with_their_values(table, registry):
    given = {"rows", "rng", "logits", "targets", "setting", "model", "epoch"}
    signatures = {
        name: [key for key in inspect.signature(entry).parameters if key not in given]
        for name, entry in registry.items()
    }
    assert signatures == {name: list(values) for name, values in table.items()}


def test_a_choice_is_a_name_or_a_name_with_its_values():
    assert choice(choices.SAMPLERS)("weighted") == Choice("weighted")
    assert choice(choices.SAMPLERS)({"name": "tempered", "power": 1}) == Choice("tempered", {"power": 1})
    assert str(Choice("tempered", {"power": 0.5})) == "tempered (power 0.5)"
    assert str(Choice("weighted")) == "weighted"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, r"must be a name, or \{name: …\} with its values; there are none, weighted"),
        ({"power": 0.5}, r"must be a name, or \{name: …\} with its values"),
        ("wieghted", r"there is no wieghted; there are none, .*; did you mean weighted\?"),
        ("tempered", r"write \{name: tempered, power: …\}"),
        ({"name": "weighted", "power": 1}, r"weighted takes no values"),
        ({"name": "tempered", "power": 1.5}, r"power: input should be less than or equal to 1"),
        ({"name": "tempered", "power": "0.5"}, r"power: input should be a valid number"),
        ({"name": "two_phase", "last": 2.5}, r"last: input should be a valid integer"),
        ({"name": "two_phase", "last": True}, r"last: input should be a valid integer"),
        ({"name": ["weighted"]}, r"there is no \['weighted'\]"),
    ],
)
def test_a_choice_that_there_is_not_says_what_there_is(given, message):
    with pytest.raises(ValueError, match=message):
        choice(choices.SAMPLERS)(given)


def test_a_loss_balances_when_rarer_classes_weigh_more_in_it():
    assert set(LOSSES) > choices.BALANCED_LOSSES
    assert balances(Choice("focal", {"alpha": 0.5, "gamma": 2}))
    assert not balances(Choice("focal", {"alpha": 0, "gamma": 2}))
    assert not balances(Choice("focal_bce", {"alpha": 0.25, "gamma": 2}))


def test_a_decision_is_a_rule_or_a_calibrator_with_its_values():
    assert choices.decision("tilt") == choices.Decision("tilt")
    assert choices.decision("temperature") == choices.Decision("argmax", {}, "temperature")
    assert choices.decision({"name": "prior"}) == choices.Decision("argmax", {}, "prior")
    given = {"name": "sensitivity", "class": 3, "least": 1, "calibrate": "isotonic"}
    assert choices.decision(given) == choices.Decision("sensitivity", {"class": "3", "least": 1}, "isotonic")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("temprature", r"there is no temprature; there are argmax, .*; did you mean temperature\?"),
        ("argmax", "the most probable class is the arm itself, and always there"),
        ("none", "there is no none"),
        (3, r"must be a name, or \{name: …\} with its values"),
        ({"name": "tilt", "metrc": "kappa"}, r"tilt takes no metrc; did you mean metric\?"),
        ({"name": "tilt", "metric": "auc"}, "metric: input should be 'macro_f1', 'kappa' or"),
        ({"name": "sensitivity", "least": 2}, r"write \{name: sensitivity, class: …, least: …\}; least: input should"),
        (
            {"name": "thresholds", "calibrate": "isotone"},
            r"calibrate: there is no isotone; .*; did you mean isotonic\?",
        ),
        ({"name": "vector", "calibrate": "prior"}, "vector is a calibrator already"),
        ({"name": "reject", "coverage": 0.9, "calibrate": "prior"}, "it takes no calibrate"),
        ({"name": "reject", "coverage": 1}, "coverage: input should be less than 1"),
        ({"name": "cost", "matrix": 3}, "matrix: input should be a valid list"),
        ({"name": "cost", "matrix": [[0, "x"], [1, 0]]}, "matrix: input should be a valid number"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        choices.decision(entry)


def test_decisions_have_short_names_and_longer_ones_where_these_are_alike():
    def names(*entries):
        return list(choices.named([choices.decision(entry) for entry in entries]))

    cost = {"name": "cost", "matrix": [[0, 1], [1, 0]]}
    assert names("temperature", "tilt", {"name": "tilt", "calibrate": "vector"}) == [
        "temperature",
        "tilt",
        "vector+tilt",
    ]
    assert names(
        {"name": "sensitivity", "class": "hernia", "least": 0.95},
        {"name": "sensitivity", "class": "mass", "least": 0.9},
        {"name": "specificity", "class": "mass", "least": 0.9},
    ) == ["sensitivity-hernia-0.95", "sensitivity-mass-0.9", "specificity"]
    assert names(cost, {**cost, "matrix": [[0, 2], [1, 0]]}, cost) == ["cost-1", "cost-2"]

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

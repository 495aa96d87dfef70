import inspect

import pytest

from pipeline import choices
from pipeline.backbone.losses import LOSSES
from pipeline.backbone.models import POLICIES
from pipeline.backbone.sampling import SAMPLERS


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

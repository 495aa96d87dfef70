import pytest
import torch

from pipeline.backbone.losses import LOSSES, Setting

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
LABELS = torch.tensor([0, 0, 1])
SETTING = Setting(torch.tensor([6.0, 2.0]), torch.tensor([2.0, 6.0]), 0.0)


def test_losses_on_literal_numbers():
    plain = LOSSES["cross_entropy"](LOGITS, LABELS, SETTING)
    assert plain.tolist() == pytest.approx([0.126928, 0.693147, 0.313262], rel=1e-5)
    weighted = LOSSES["weighted"](LOGITS, LABELS, SETTING)
    assert weighted.tolist() == pytest.approx([2 / 3 * 0.126928, 2 / 3 * 0.693147, 2 * 0.313262], rel=1e-5)

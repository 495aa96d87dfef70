import math

import pytest
import torch
import torchvision
from torch.nn import functional

from pipeline.backbone.losses import LOSSES, Setting
from pipeline.choices import MULTILABEL_LOSSES, SOFTMAX_LOSSES

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
LABELS = torch.tensor([0, 0, 1])
PLAIN = [0.126928, 0.693147, 0.313262]  # log(1 + e^-2), log 2, log(1 + e^-1)
SETTING = Setting(torch.tensor([6.0, 2.0]), torch.tensor([2.0, 6.0]), 0.0)
TARGETS = torch.tensor([[1, 0], [0, -1], [-1, -1]], dtype=torch.int8)

RANDOM = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) * 3
CLASSES = torch.arange(64) % 4
COUNTS = torch.tensor([500.0, 50.0, 40.0, 3.0])
SKEWED = Setting(COUNTS, COUNTS.sum() - COUNTS, 0.0)
SEVERAL = (torch.arange(256).reshape(64, 4) * 7 % 3 == 0).to(torch.int8)

VALUES = {
    "focal": {"alpha": 0.5, "gamma": 2.0},
    "class_balanced": {"beta": 0.9},
    "ldam": {"margin": 0.5, "scale": 30.0, "beta": 0.999, "deferred": 0.5},
    "logit_adjusted": {"tau": 1.0},
    "label_smoothing": {"smoothing": 0.1},
    "ordinal": {"sharpness": 2.0},
    "weighted_bce": {"most": 20.0},
    "focal_bce": {"alpha": 0.25, "gamma": 2.0},
    "asymmetric": {"gamma_positive": 1.0, "gamma_negative": 4.0, "clip": 0.05},
}


def loss(name, logits=LOGITS, targets=None, setting=SETTING, **values):
    if targets is None:
        targets = LABELS if name in SOFTMAX_LOSSES else TARGETS
    return LOSSES[name](logits, targets, setting, **(values or VALUES.get(name, {})))


def near(expected):
    return pytest.approx(expected, rel=1e-5)


def test_plain_losses_on_literal_numbers():
    assert loss("cross_entropy").tolist() == near(PLAIN)
    assert loss("weighted").tolist() == near([2 / 3 * PLAIN[0], 2 / 3 * PLAIN[1], 2 * PLAIN[2]])  # 8 / (2 × 6 or 2)


def test_focal_on_literal_numbers():
    assert loss("focal", alpha=0, gamma=2).tolist() == near(
        [0.119203**2 * PLAIN[0], 0.25 * PLAIN[1], 0.268941**2 * PLAIN[2]]
    )
    weights = torch.tensor([6.0, 2.0]) ** -0.5
    weights *= 8 / (6 * weights[0] + 2 * weights[1])
    assert loss("focal", alpha=0.5, gamma=0).tolist() == near((weights[LABELS] * torch.tensor(PLAIN)).tolist())


def test_class_balanced_on_literal_numbers():
    frequent, rare = 0.1 / (1 - 0.9**6), 0.1 / (1 - 0.9**2)  # beta 0.9
    unit = 8 / (6 * frequent + 2 * rare)
    assert loss("class_balanced", beta=0.9).tolist() == near(
        [unit * frequent * PLAIN[0], unit * frequent * PLAIN[1], unit * rare * PLAIN[2]]
    )


def test_ldam_takes_a_margin_off_the_true_class_and_weights_late():
    frequent, rare = 15 * (2 / 6) ** 0.25, 15.0  # 30 × 0.5 for the rarest class
    margins = [math.log1p(math.exp(frequent - 2)), math.log1p(math.exp(frequent)), math.log1p(math.exp(rare - 1))]
    assert loss("ldam").tolist() == near(margins)
    late = Setting(SETTING.positives, SETTING.negatives, 0.5)
    ratio = loss("class_balanced", beta=0.999) / loss("cross_entropy")
    assert loss("ldam", setting=late).tolist() == near((torch.tensor(margins) * ratio).tolist())


def test_balanced_softmax_on_literal_numbers():
    assert loss("balanced_softmax").tolist() == near(
        [math.log1p(2 / 6 * math.exp(-2)), math.log1p(2 / 6), math.log1p(6 / 2 * math.exp(-1))]
    )


def test_label_smoothing_is_that_of_torch():
    expected = functional.cross_entropy(RANDOM, CLASSES, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(loss("label_smoothing", RANDOM, CLASSES, SKEWED), expected)


def test_ordinal_targets_fall_with_the_squared_distance():
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    near_one, near_two = math.exp(-0.5), math.exp(-2)  # sharpness 0.5, distances 1 and 2
    soft = torch.tensor([1, near_one, near_two]) / (1 + near_one + near_two)
    expected = -(soft * logits.log_softmax(1)[0]).sum().item()
    found = LOSSES["ordinal"](logits, torch.tensor([0]), SKEWED, sharpness=0.5)
    assert found.item() == near(expected)


def test_bce_leaves_missing_labels_out_and_a_row_with_none_known_is_zero():
    assert loss("bce").tolist() == near([(PLAIN[0] + PLAIN[1]) / 2, PLAIN[1] / 2, 0])


def test_weighted_bce_is_that_of_torch_with_weights_of_mean_one():
    setting = Setting(torch.tensor([100.0, 10.0, 0.0, 40.0]), torch.tensor([100.0, 190.0, 200.0, 10.0]), 0.0)
    ratio = torch.tensor([1.0, 15.0, 15.0, 0.25])  # 190 / 10 and 200 / 0 are capped at 15
    mean = torch.tensor([1.0, 340 / 200, 1.0, 20 / 50])
    each = functional.binary_cross_entropy_with_logits(RANDOM, SEVERAL.float(), pos_weight=ratio, reduction="none")
    torch.testing.assert_close(loss("weighted_bce", RANDOM, SEVERAL, setting, most=15.0), (each / mean).mean(1))


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.7, 0.5), (0.5, 0.0)])
def test_focal_bce_is_that_of_torchvision(alpha, gamma):
    expected = torchvision.ops.sigmoid_focal_loss(RANDOM, SEVERAL.float(), alpha, gamma).mean(1)
    torch.testing.assert_close(loss("focal_bce", RANDOM, SEVERAL, SKEWED, alpha=alpha, gamma=gamma), expected)


@pytest.mark.parametrize(
    ("positive", "negative", "clip"), [(1.0, 4.0, 0.05), (0.0, 0.5, 0.2), (2.0, 1.0, 0.0), (0.0, 0.0, 0.3)]
)
def test_asymmetric_is_the_formula_of_the_paper(positive, negative, clip):
    p = RANDOM.double().sigmoid()
    lowered = (p - clip).clamp(min=0)
    expected = -torch.where(SEVERAL == 1, (1 - p) ** positive * p.log(), lowered**negative * (1 - lowered).log())
    found = loss("asymmetric", RANDOM, SEVERAL, SKEWED, gamma_positive=positive, gamma_negative=negative, clip=clip)
    torch.testing.assert_close(found.double(), expected.mean(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("one", "values", "other"),
    [
        ("focal", {"alpha": 0.0, "gamma": 0.0}, "cross_entropy"),
        ("focal", {"alpha": 1.0, "gamma": 0.0}, "weighted"),
        ("class_balanced", {"beta": 1e-9}, "cross_entropy"),
        ("class_balanced", {"beta": 1 - 1e-9}, "weighted"),
        ("ldam", {"margin": 1e-9, "scale": 30.0, "beta": 0.9, "deferred": 1.0}, "cross_entropy"),
        ("logit_adjusted", {"tau": 1.0}, "balanced_softmax"),
        ("logit_adjusted", {"tau": 1e-9}, "cross_entropy"),
        ("label_smoothing", {"smoothing": 1e-9}, "cross_entropy"),
        ("ordinal", {"sharpness": 1e3}, "cross_entropy"),
        ("asymmetric", {"gamma_positive": 0.0, "gamma_negative": 0.0, "clip": 0.0}, "bce"),
    ],
)
def test_losses_that_are_others_at_the_end_of_their_range(one, values, other):
    targets = CLASSES if one in SOFTMAX_LOSSES else SEVERAL
    torch.testing.assert_close(
        loss(one, RANDOM, targets, SKEWED, **values), loss(other, RANDOM, targets, SKEWED), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [0.0, 1.0, 20.0, 100.0])
@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_gradients_are_finite_at_extreme_logits(name, size, progress):
    logits = (size * torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])).requires_grad_()
    targets = torch.tensor([0, 0, 1, 1]) if name in SOFTMAX_LOSSES else torch.tensor([[1, 0], [1, 0], [0, 1], [1, -1]])
    losses = loss(name, logits, targets.to(torch.int8) if targets.ndim == 2 else targets, SETTING)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()
    assert (losses >= 0).all()


@pytest.mark.parametrize("name", ["focal", "focal_bce", "asymmetric"])
def test_a_focus_below_one_has_finite_gradients_where_the_model_is_certain(name):
    values = {
        "focal": {"alpha": 0.0, "gamma": 0.5},
        "focal_bce": {"alpha": 0.5, "gamma": 0.5},
        "asymmetric": {"gamma_positive": 0.5, "gamma_negative": 0.5, "clip": 0.05},
    }[name]
    logits = torch.tensor([[1e4, -1e4], [100.0, -100.0]]).requires_grad_()
    targets = torch.tensor([0, 0]) if name == "focal" else torch.tensor([[1, 0], [1, 0]], dtype=torch.int8)
    losses = loss(name, logits, targets, **values)
    losses.sum().backward()
    assert losses.tolist() == near([0, 0])
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_against_the_gradient_lowers_the_loss(name):
    targets = CLASSES if name in SOFTMAX_LOSSES else SEVERAL
    logits = RANDOM.clone().requires_grad_()
    before = loss(name, logits, targets, SKEWED)
    before.sum().backward()
    after = loss(name, RANDOM - 0.01 * logits.grad, targets, SKEWED)
    assert before.shape == (64,)
    assert before.dtype == torch.float32
    assert (after <= before.detach() + 1e-6).all()
    assert after.sum() < before.detach().sum()


@pytest.mark.parametrize("name", ["weighted", "class_balanced", "focal", "ldam"])
def test_class_weights_have_the_mean_one_over_the_training_rows(name):
    """Of rows that all have the same plain loss, in the proportions of the training rows."""
    labels = torch.repeat_interleave(torch.arange(4), COUNTS.long())
    late = Setting(SKEWED.positives, SKEWED.negatives, 0.9)
    values = (
        VALUES.get(name, {})
        | ({"margin": 1e-9} if name == "ldam" else {})
        | ({"gamma": 0.0} if name == "focal" else {})
    )
    found = loss(name, torch.zeros(len(labels), 4), labels, late, **values)
    assert found.mean().item() == near(math.log(4))
    assert found[-1] > 2 * found[0]


@pytest.mark.parametrize("name", SOFTMAX_LOSSES)
def test_a_class_that_no_training_row_has_costs_a_finite_loss(name):
    setting = Setting(torch.tensor([6.0, 0.0]), torch.tensor([0.0, 6.0]), 0.9)
    assert loss(name, setting=setting).isfinite().all()


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
def test_a_missing_label_neither_costs_nor_teaches(name):
    logits = LOGITS.clone().requires_grad_()
    losses = loss(name, logits, setting=Setting(torch.tensor([6.0, 0.0]), torch.tensor([2.0, 0.0]), 0.0))
    losses.sum().backward()
    assert losses[2] == 0
    assert (logits.grad[TARGETS == -1] == 0).all()
    assert losses[0] > 0


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
@pytest.mark.parametrize(("present", "absent"), [(6.0, 0.0), (0.0, 6.0), (0.0, 0.0), (1e7, 0.0)])
def test_a_label_that_every_training_row_has_or_none_costs_a_finite_loss(name, present, absent):
    setting = Setting(torch.tensor([present, 2.0]), torch.tensor([absent, 4.0]), 0.0)
    logits = LOGITS.clone().requires_grad_()
    losses = loss(name, logits, setting=setting)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()


def test_a_label_that_every_training_row_has_weighs_as_any_other():
    setting = Setting(torch.tensor([6.0]), torch.tensor([0.0]), 0.0)
    found = loss("weighted_bce", torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.int8), setting, most=20.0)
    assert found.item() == near(math.log(2))

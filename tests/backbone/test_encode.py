"""The fast form of a model gives the features of the plain one, whatever the batch."""

import numpy as np
import pytest
import torch
from timm.layers.std_conv import StdConv2d
from torch import nn

from pipeline.backbone import encode, fuse, inputs, models
from pipeline.errors import PipelineError

SMALL = "resnet10t"
CPU = torch.device("cpu")
FAMILIES = {  # how many of the BatchNorms can be part of a convolution
    SMALL: (14, 14),
    "efficientnet_b0": (49, 49),
    "tf_efficientnet_b0": (49, 49),  # pads its pictures in the convolution
    "mobilenetv3_small_100": (34, 34),
    "regnety_002": (44, 44),
    "densenet121": (59, 121),  # the others stand before their convolution
    "vit_tiny_patch16_224": (0, 0),
    "convnext_atto": (0, 0),
}


def pictures(count=12, channels=3, side=64, dtype=np.uint8):
    """Coarse patches, so that features differ from picture to picture."""
    shape = (count, 4, 4, channels)[: 3 + (channels > 1)]
    patches = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return patches.repeat(side // 4, 1).repeat(side // 4, 2)


def lively(name, channels=3, side=64):
    """A model with random weights whose features vary: its BatchNorms know the statistics of the pictures."""
    model = models.create(name, "none", channels, side, 3, 0)
    shown = inputs.normalise(inputs.to_tensor(pictures(16, channels, side), CPU), model)
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.momentum = None
            norm.bias.uniform_(-0.2, 0.2)
            norm.weight.uniform_(0.5, 1.5)
        model.train()(shown)
    return model.eval()


def features(encoder, stored, batch_size, rows=None):
    rows = np.arange(len(stored)) if rows is None else rows
    parts = list(encode.encode(encoder, stored.__getitem__, rows, batch_size))
    assert np.array_equal(np.concatenate([places for places, _ in parts]), rows)
    return np.concatenate([values for _, values in parts])


def seen(model, stored):
    """What training sees of the pictures: pooled features by way of `inputs` alone."""
    with torch.inference_mode():
        return models.pooled_features(model.eval(), inputs.normalise(inputs.to_tensor(stored, CPU), model)).numpy()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fast_form_has_the_features_of_the_plain_model(name):
    model, stored = lively(name), pictures()
    encode.plain(model, stored[:1])
    found = encode.agreement(features(encode.fast(model, stored[:1], "float32", False), stored, 8), seen(model, stored))
    assert found.cosine > 0.99999
    assert found.noise < 0.001


@pytest.mark.parametrize("name", FAMILIES)
def test_every_norm_that_follows_a_convolution_becomes_part_of_it(name):
    model, (folds, norms) = lively(name), FAMILIES[name]
    shown = inputs.normalise(inputs.to_tensor(pictures(2), CPU), model)
    folded = fuse.fold_norms(model, shown)
    left = [isinstance(module, nn.BatchNorm2d) for module in folded.modules()].count(True)
    assert [isinstance(module, nn.BatchNorm2d) for module in model.modules()].count(True) == norms
    assert left == norms - folds


class Layers(nn.Module):
    """Convolutions and norms in an order that is given, as if they were a timm model."""

    def __init__(self, order, convolution=nn.Conv2d):
        super().__init__()
        self.conv, self.twin, self.norm, self.other = (
            convolution(3, 3, 3),
            nn.Conv2d(3, 3, 3),
            nn.BatchNorm2d(3),
            nn.ReLU(),
        )
        self.norm.running_mean, self.norm.running_var = torch.full((3,), 0.3), torch.full((3,), 4.0)
        self.order = order

    def forward_features(self, x):
        return self.order(self, x)

    def forward_head(self, x, pre_logits):
        return x.mean((2, 3))


def after_norm_and_beside_it(layers, x):
    y = layers.conv(x)
    return layers.norm(y) + layers.other(y)


def run_twice(layers, x):
    return layers.norm(layers.conv(x)) + layers.conv(x) * 2


def shared_norm(layers, x):
    return layers.norm(layers.conv(x)) + layers.norm(layers.twin(x))


def in_turn(layers, x):
    return layers.norm(layers.conv(x))


@pytest.mark.parametrize(
    ("order", "convolution", "folds"),
    [
        (in_turn, nn.Conv2d, True),
        (in_turn, StdConv2d, False),  # makes its weights anew at each call
        (after_norm_and_beside_it, nn.Conv2d, False),
        (run_twice, nn.Conv2d, False),
        (shared_norm, nn.Conv2d, False),
    ],
)
def test_a_norm_is_left_alone_where_the_result_would_be_another(order, convolution, folds):
    torch.manual_seed(0)
    model, shown = Layers(order, convolution).eval(), torch.rand(2, 3, 8, 8)
    folded = fuse.fold_norms(model, shown)
    assert isinstance(folded.get_submodule("norm"), nn.BatchNorm2d) != folds
    torch.testing.assert_close(models.pooled_features(folded, shown), models.pooled_features(model, shown))


@pytest.mark.parametrize("name", [SMALL, "efficientnet_b0", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_features_do_not_depend_on_the_batch_they_were_computed_in(name, precision):
    """To the bit on a processor with oneDNN; elsewhere to what the drift check allows."""
    model, stored = lively(name), pictures(9)
    encode.plain(model, stored[:1])
    encoder = encode.fast(model, stored[:1], precision, False)
    whole = features(encoder, stored, 9)
    shuffled = features(encoder, stored, 4, np.arange(9)[::-1])[::-1]
    alone = features(encoder, stored, 1)
    assert whole.dtype == np.float32
    for other in (shuffled, alone):
        found = encode.agreement(other, whole)
        assert found.cosine >= 0.9999
        assert found.noise < 0.02


def test_the_plain_model_does_not_depend_on_the_batch_and_sees_what_training_sees():
    model, stored = lively(SMALL), pictures(9)
    encoder = encode.plain(model.train(), stored[:1])
    for batch_size in (1, 4, 9):
        np.testing.assert_allclose(features(encoder, stored, batch_size), seen(model, stored), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (1, np.uint16), (3, np.uint16)])
def test_stored_values_reach_the_model_as_they_do_in_training(channels, dtype):
    model, stored = models.create(SMALL, "none", channels, 32, 3, 0), pictures(3, channels, 32, dtype)
    given = encode.plain(model, stored[:1]).prepare(torch.from_numpy(stored))
    assert given.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(given, inputs.normalise(inputs.to_tensor(stored, CPU), model), rtol=1e-5, atol=1e-5)


def test_batches_have_one_size_and_every_row_comes_once_in_order():
    calls = []

    def mean(shown):
        calls.append(len(shown))
        return shown.mean((1, 2, 3))[:, None]

    stored, encoder = pictures(11, side=8), encode.Encoder(torch.Tensor.float, mean, "float32", CPU, 1)
    found = features(encoder, stored, 4)
    np.testing.assert_allclose(found[:, 0], stored.mean((1, 2, 3)), rtol=1e-5)
    assert calls == [4, 4, 4]
    calls.clear()
    features(encoder, stored, 10)
    assert calls == [6, 6]


@pytest.mark.parametrize(("symmetry", "count"), [("flip", 2), ("turns", 8)])
def test_symmetric_features_are_those_of_the_mirrored_and_turned_pictures_too(symmetry, count):
    model, stored = lively(SMALL), pictures(5)
    encoder = encode.symmetric(encode.plain(model, stored[:1]), symmetry)
    found, plain = features(encoder, stored, 2), features(encode.plain(model, stored[:1]), stored, 2)
    assert np.abs(found - plain).max() > 0.01
    mirrored = stored[:, :, ::-1].copy()
    np.testing.assert_allclose(features(encoder, mirrored, 2), found, rtol=1e-4, atol=1e-5)
    turned = features(encoder, np.rot90(stored, axes=(1, 2)).copy(), 2)
    assert np.allclose(turned, found, rtol=1e-4, atol=1e-5) == (symmetry == "turns")
    assert len(encode.SYMMETRIES[symmetry](torch.rand(2, 3, 8, 8))) == count


def test_no_rows_give_no_features():
    model, stored = models.create(SMALL, "none", 1, 32, 3, 0), pictures(2, 1, 32)
    assert list(encode.encode(encode.plain(model, stored[:1]), stored.__getitem__, np.arange(0), 4)) == []
    assert encode.plain(model, stored[:1]).width == 512


def test_bfloat16_is_taken_where_it_is_native_and_agrees(monkeypatch):
    model, stored = lively(SMALL), pictures(8)
    monkeypatch.setattr(inputs, "has_bf16", lambda where: True)
    encoder, why = encode.choose(model, stored, False)
    assert encoder.precision == "bfloat16"
    assert "bfloat16 against plain float32 on 8 pictures: cosine 0.9" in why
    monkeypatch.setattr(inputs, "has_bf16", lambda where: False)
    encoder, why = encode.choose(model, stored, False)
    assert encoder.precision == "float32"
    assert why.startswith("no native bfloat16 here; float32 against plain float32")


def test_bfloat16_is_refused_where_it_would_drown_the_difference_between_pictures(monkeypatch):
    """With a cosine of nearly 1 to the right features."""
    model, stored = lively(SMALL), pictures(1).repeat(8, 0)
    stored[:, 0, 0, 0] = np.arange(8)
    monkeypatch.setattr(inputs, "has_bf16", lambda where: True)
    encoder, why = encode.choose(model, stored, False)
    assert encoder.precision == "float32"
    assert "bfloat16 against plain float32 on 8 pictures: cosine 0.99" in why


@pytest.mark.parametrize("fault", ["wrong", "fails"])
def test_a_fast_form_that_is_wrong_or_fails_gives_way_to_the_plain_model(monkeypatch, fault):
    def broken(model, pictures):
        if fault == "fails":
            raise RuntimeError("no such operation\nand more")
        folded = fold(model, pictures)
        folded.conv1[0].bias.add_(1)
        return folded

    fold, model, stored = fuse.fold_norms, lively(SMALL), pictures(8)
    monkeypatch.setattr(fuse, "fold_norms", torch.no_grad()(broken))
    encoder, why = encode.choose(model, stored, False)
    assert encoder.precision == "float32"
    np.testing.assert_allclose(features(encoder, stored, 4), seen(model, stored), rtol=1e-4, atol=1e-5)
    assert ("float32 fails (no such operation)" in why) == (fault == "fails")


def test_a_model_that_the_fuser_cannot_take_runs_as_it_is(monkeypatch):
    def refuse(module, shown):
        raise RuntimeError("could not add op to the graph")

    monkeypatch.setattr(fuse, "_script", refuse)
    form, shown = fuse.Scripted(nn.Conv2d(1, 2, 3)), torch.rand(2, 1, 5, 5)
    assert form(shown).shape == (2, 2, 3, 3)
    assert form(shown[:1]).shape == (1, 2, 3, 3)


def test_the_switch_of_the_fuser_is_left_as_it_was():
    before = torch.jit.onednn_fusion_enabled()
    with torch.inference_mode():
        fuse.Scripted(nn.Conv2d(1, 2, 3).eval())(torch.rand(2, 1, 5, 5))
    assert torch.jit.onednn_fusion_enabled() == before


def test_a_model_that_torch_cannot_compile_names_the_remedy(monkeypatch):
    def compiled(module):
        def call(shown):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

        return call

    monkeypatch.setattr(fuse, "compiled", compiled)
    with pytest.raises(
        PipelineError, match=r"No working C\+\+ compiler(.|\n)*install .* g\+\+, or set embed.compile: false"
    ):
        encode.choose(lively(SMALL), pictures(4), True)


def test_agreement_is_of_the_worst_row_and_relative_to_the_spread():
    truth = np.array([[10.0, 1], [10, -1], [10, 1], [10, -1]], np.float32)  # each lies 1 from the centre
    found = truth.copy()
    found[2, 1] = 0.5
    made = encode.agreement(found, truth)
    assert made.noise == pytest.approx(0.5)
    assert made.cosine == pytest.approx(0.99876, abs=1e-5)
    assert not made.good
    assert encode.agreement(truth, truth) == encode.Agreement(1.0, 0.0)


def test_features_that_are_zero_or_alike_agree_with_themselves_and_not_a_number_with_nothing():
    zeros, ones = np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)
    assert encode.agreement(zeros, zeros).good
    assert encode.agreement(ones, ones).good
    assert not encode.agreement(ones * np.float32("nan"), ones).good
    assert not encode.agreement(ones * np.float32("nan"), ones * np.float32("nan")).good

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from pipeline.backbone import inputs, models
from pipeline.choices import Choice
from pipeline.errors import PipelineError

SMALL = "resnet10t"


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (9, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("name", [SMALL, "efficientnet_b0", "densenet121", "vit_tiny_patch16_224", "convnext_atto"])
def test_the_pooled_features_are_what_the_classifier_sees(name):
    model = models.create(name, "none", 3, 64, 5, 0).eval()
    with torch.inference_mode():
        pictures = torch.rand(2, 3, 64, 64)
        pooled = models.pooled_features(model, pictures)
        torch.testing.assert_close(model.get_classifier()(pooled), model(pictures), rtol=1e-4, atol=1e-5)


def test_weights_survive_the_way_through_bytes(pictures):
    model = models.create(SMALL, "none", 1, 32, 3, 0)
    copy = models.from_bytes(SMALL, 1, 32, 3, models.to_bytes(model))
    for mine, theirs in zip(model.state_dict().values(), copy.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_equal_seeds_give_equal_random_weights():
    one, same, other = (models.to_bytes(models.create(SMALL, "none", 1, 32, 3, seed)) for seed in (0, 0, 1))
    assert one == same != other


def test_a_checkpoint_file_serves_pictures_with_other_channels_and_other_classes(tmp_path):
    path = tmp_path / "weights.safetensors"
    colour = models.create(SMALL, "none", 3, 32, 7, 1)
    path.write_bytes(models.to_bytes(colour))
    grey = models.create(SMALL, str(path), 1, 32, 4, 0)
    assert torch.equal(grey.layer4[0].conv1.weight, colour.layer4[0].conv1.weight)
    torch.testing.assert_close(grey.conv1[0].weight, colour.conv1[0].weight.sum(1, keepdim=True))
    assert grey.get_classifier().weight.shape == (4, 512)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(models.to_bytes(models.create("resnet18", "none", 3, 32, 2, 0)))
    with pytest.raises(PipelineError, match=r"does not fit resnet10t: \d+ tensors.*\n  Remedy: name the model"):
        models.create(SMALL, str(path), 3, 32, 2, 0)


def test_a_checkpoint_without_counts_of_batches_serves_as_older_ones_have_none(tmp_path):
    path = tmp_path / "weights.safetensors"
    state = models.create(SMALL, "none", 3, 32, 2, 1).state_dict()
    safetensors.torch.save_file({key: value for key, value in state.items() if "num_batches" not in key}, path)
    loaded = models.create(SMALL, str(path), 3, 32, 2, 0)
    assert torch.equal(loaded.bn1.running_var, state["bn1.running_var"])
    assert torch.equal(loaded.layer4[0].conv1.weight, state["layer4.0.conv1.weight"])


def test_weights_of_a_transformer_for_pictures_of_another_size_name_the_size(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(models.to_bytes(models.create("test_vit", "none", 1, 64, 2, 0)))
    with pytest.raises(PipelineError, match=r": 1 tensors are .*, such as pos_embed\n.*, and set render.size to the"):
        models.create("test_vit", str(path), 1, 32, 2, 0)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(PipelineError, match="is no checkpoint that can be read"):
        models.create(SMALL, str(path), 3, 32, 2, 0)


def test_a_missing_checkpoint_names_both_remedies():
    with pytest.raises(
        PipelineError, match=r"nowhere\.pth is no file\n.*path of a checkpoint file, or .*weights: none"
    ):
        models.create(SMALL, "nowhere.pth", 3, 32, 2, 0)


def test_imagenet_weights_offline_name_both_remedies(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PipelineError, match=r"can't be downloaded.*\n.*path of a checkpoint file, or .*weights: none"):
        models.create(SMALL, "imagenet", 3, 32, 2, 0)


def test_an_unknown_model_suggests_near_names():
    with pytest.raises(PipelineError, match=r"has no model 'resnet10x'\n  Remedy: did you mean .*resnet10t"):
        models.create("resnet10x", "none", 1, 32, 2, 0)


POLICIES = [
    Choice("frozen"),
    Choice("last_block"),
    Choice("full"),
    Choice("warmup", {"epochs": 2, "then": "last_block"}),
    Choice("layer_decay", {"decay": 0.5}),
    Choice("bias"),
]


@pytest.fixture(params=[SMALL, "mobilenetv3_small_050", "test_vit"])
def model(request):
    return models.create(request.param, "none", 3, 32, 2, 0)


def layers(names):
    return {name.rpartition(".")[0] for name in names}


def test_every_policy_is_tested():
    assert [policy.name for policy in POLICIES] == list(models.POLICIES)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("epoch", [2, 3])
def test_only_what_a_policy_trains_gets_a_gradient(model, policy, epoch):
    trainable, total = models.freeze(model, policy, epoch)
    factors = models.POLICIES[policy.name](model, epoch, **policy.values)
    models.train_mode(model)
    if factors:
        model(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == set(factors)
    assert trainable == sum(model.get_parameter(name).numel() for name in factors)
    assert total == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("epoch", [2, 3])
def test_batch_norm_statistics_move_only_where_the_weights_of_layers_are_trained(model, policy, epoch):
    models.freeze(model, Choice("full"))
    models.train_mode(model)  # an earlier epoch leaves no trace
    models.freeze(model, policy, epoch)
    models.train_mode(model)
    before = {key: value.clone() for key, value in model.named_buffers() if key.endswith("running_mean")}
    model(torch.rand(4, 3, 32, 32))
    moved = layers(key for key, value in before.items() if not torch.equal(value, model.get_buffer(key)))
    trained = layers(name for name, parameter in model.named_parameters() if parameter.requires_grad)
    assert moved == (set() if policy.name == "bias" else layers(before) & trained)


def test_frozen_blocks_drop_nothing():
    model = timm.create_model("test_vit", num_classes=2, drop_path_rate=0.5, proj_drop_rate=0.5, img_size=32)
    models.freeze(model, Choice("last_block"))
    models.train_mode(model)
    pictures = torch.rand(8, 3, 32, 32)
    one, other = (model.forward_intermediates(pictures, indices=[4, 5], intermediates_only=True) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])


def test_parameters_trained_by_policy_as_literal_counts():
    model = models.create(SMALL, "none", 3, 32, 2, 0)
    assert [models.freeze(model, policy)[0] for policy in POLICIES] == [0, 3674114, 4923514, 1026, 4923514, 6898]
    assert models.freeze(model, POLICIES[3], 3) == (3674114, 4923514)


def test_last_block_trains_the_last_stage_and_the_classifier():
    model = models.create(SMALL, "none", 3, 32, 2, 0)
    assert {name.split(".")[0] for name in models.last_block(model, 1)} == {"layer4", "fc"}


def test_a_warm_up_trains_the_classifier_alone_and_then_as_the_policy_that_follows(model):
    classifier = model.pretrained_cfg["classifier"]
    assert set(models.warmup(model, 2, 2, "full")) == {f"{classifier}.weight", f"{classifier}.bias"}
    assert models.warmup(model, 3, 2, "full") == models.full(model, 3)


def test_layer_decay_lowers_the_learning_rate_layer_by_layer():
    model = models.create(SMALL, "none", 3, 32, 2, 0)
    factors = models.layer_decay(model, 1, 0.5)
    assert set(factors) == {name for name, _ in model.named_parameters()}
    tops = {(name.split(".")[0], factor) for name, factor in factors.items()}
    assert tops == {
        ("conv1", 1 / 32), ("bn1", 1 / 32), ("layer1", 1 / 16), ("layer2", 1 / 8), ("layer3", 1 / 4), ("layer4", 1 / 2),
        ("fc", 1),
    }  # fmt: skip


def test_bias_trains_biases_norms_and_the_classifier(model):
    names = models.bias(model, 1)
    norms = {
        f"{path}.{kind}"
        for path, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        for kind in ("weight", "bias")
    }
    biases = {name for name, _ in model.named_parameters() if name.endswith("bias")}
    assert set(names) == biases | norms | {f"{model.pretrained_cfg['classifier']}.weight"}


@pytest.mark.parametrize("policy", [POLICIES[1], POLICIES[4]], ids=str)
def test_a_model_without_known_layers_is_refused_where_they_matter(policy):
    with torch.device("meta"):
        model = timm.create_model("poolformer_s12")
    with pytest.raises(
        PipelineError, match=r"which layers poolformer_s12 has\n  Remedy: set it to full, bias or frozen"
    ):
        models.freeze(model, policy)


def test_grey_pictures_are_normalised_by_the_mean_of_the_colours():
    model = models.create(SMALL, "none", 1, 32, 2, 0)
    mean, std = (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3
    normalised = inputs.normalise(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1), model)
    torch.testing.assert_close(normalised.flatten(), torch.tensor([-mean / std, (1 - mean) / std]))


def test_colour_pictures_become_channels_first_in_zero_to_one():
    pictures = np.array([[[[0, 51, 255]]]], np.uint8)  # (1, 1, 1, 3)
    tensor = inputs.to_tensor(pictures, torch.device("cpu"))
    torch.testing.assert_close(tensor, torch.tensor([0.0, 0.2, 1.0]).reshape(1, 3, 1, 1))


def test_a_transformer_is_built_for_the_size_of_the_pictures():
    model = models.create("vit_tiny_patch16_224", "none", 1, 112, 2, 0).eval()
    assert model(torch.rand(1, 1, 112, 112)).shape == (1, 2)
    copy = models.from_bytes("vit_tiny_patch16_224", 1, 112, 2, models.to_bytes(model))
    assert copy.pos_embed.shape == model.pos_embed.shape


def test_the_saved_bytes_are_a_plain_safetensors_file():
    state = safetensors.torch.load(models.to_bytes(models.create(SMALL, "none", 1, 32, 3, 0)))
    assert state["fc.weight"].shape == (3, 512)

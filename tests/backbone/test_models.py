import numpy as np
import pytest
import safetensors.torch
import torch

from pipeline.backbone import encode, inputs, models
from pipeline.choices import Choice
from pipeline.errors import PipelineError

SMALL = "resnet10t"


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (9, 32, 32), dtype=np.uint8)


def test_features_do_not_depend_on_the_batch_they_were_computed_in(pictures):
    model = models.create(SMALL, "none", 1, 32, 3, 0)
    whole = encode.encode(model, pictures.__getitem__, np.arange(9), 9)
    single = encode.encode(model, pictures.__getitem__, np.arange(9), 1)
    shuffled = encode.encode(model, pictures.__getitem__, np.arange(9)[::-1], 4)[::-1]
    assert whole.shape == (9, 512)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(shuffled, whole, rtol=1e-4, atol=1e-5)


def test_no_rows_give_no_features(pictures):
    model = models.create(SMALL, "none", 1, 32, 3, 0)
    assert encode.encode(model, pictures.__getitem__, np.arange(0), 4).shape == (0, 512)


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


@pytest.mark.parametrize("name", [SMALL, "efficientnet_b0", "vit_tiny_patch16_224"])
def test_policies_train_more_and_more_of_the_model(name):
    model = models.create(name, "none", 3, 32, 2, 0)
    counts = [models.freeze(model, Choice(policy))[0] for policy in ("frozen", "last_block", "full")]
    assert counts[0] == 0 < counts[1] < counts[2] == sum(p.numel() for p in model.parameters())


def test_last_block_trains_the_last_stage_and_the_classifier_only():
    model = models.create(SMALL, "none", 3, 32, 2, 0)
    models.freeze(model, Choice("last_block"))
    trained = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"layer4", "fc"}


def test_frozen_layers_keep_their_batch_norm_statistics():
    model = models.create(SMALL, "none", 3, 32, 2, 0)
    models.freeze(model, Choice("last_block"))
    before = {key: value.clone() for key, value in model.state_dict().items() if "running_mean" in key}
    models.train_mode(model)
    model(torch.rand(4, 3, 32, 32))
    moved = {key.split(".")[0] for key, value in before.items() if not torch.equal(value, model.state_dict()[key])}
    assert moved == {"layer4"}


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

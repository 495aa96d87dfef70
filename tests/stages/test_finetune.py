import numpy as np
import pandas as pd
import pytest
from imports import ROOT
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from pipeline import artifacts, params, provenance
from pipeline.stages import finetune

VALUES = YAML(typ="safe").load(ROOT / "params.yaml")
N = 60


def settings(data=None, **changes):
    """Params for a tiny model; `changes` are of the section finetune."""
    values = {**VALUES, "data": {**VALUES["data"], "classes": None, **(data or {})}}
    values["backbone"] = {"model": "test_resnet", "weights": "none"}
    augment = {**VALUES["finetune"]["augment"], **changes.pop("augment", {})}
    values["finetune"] = {**VALUES["finetune"], "epochs": 2, "batch_size": 16, "augment": augment, **changes}
    return params.check(values)


def write(labels, folds=2, **columns):
    """An index, splits and a picture store of 32 px: class `b` is bright."""
    ids = [f"image-{number:02d}" for number in range(len(labels))]
    index = pd.DataFrame({name: np.zeros(len(ids), kind) for name, kind in artifacts.INDEX_COLUMNS.items()})
    index = index.assign(image_id=ids, group=[f"p{number // 2}" for number in range(len(ids))], label=labels, **columns)
    artifacts.save_index(index)
    roles = np.array(["train", "train", "val", "test"] * (len(ids) // 4))
    splits = [pd.DataFrame({"image_id": ids, "fold": fold, "role": np.roll(roles, fold)}) for fold in range(folds)]
    artifacts.save_splits(pd.concat(splits), {})
    bright = np.array(["b" in label for label in labels])
    noise = np.random.default_rng(0).integers(0, 120, (len(ids), 32, 32))
    pictures = (noise + 120 * bright[:, None, None]).astype(np.uint8)
    artifacts.PIXELS.mkdir(parents=True, exist_ok=True)
    np.save(artifacts.PIXELS / "00000.npy", pictures)
    rows = pd.DataFrame({name: np.zeros(len(ids), kind) for name, kind in artifacts.PIXEL_ROWS.items()})
    rows = rows.assign(image_id=ids, fingerprint=ids, row=np.arange(len(ids)))
    files = {"00000.npy": provenance.checksum(artifacts.PIXELS / "00000.npy")}
    artifacts.save_pixels(rows, pictures.shape[1:], pictures.dtype, files, {}, [])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def two_classes():
    write(["a", "a", "a", "b"] * (N // 4))


def weights(name="fold-0"):
    return load_file(artifacts.BACKBONE / name / "weights.safetensors")


def test_each_fold_has_its_backbone_and_a_history_with_the_columns_of_the_report(two_classes):
    finetune.run(settings())
    assert artifacts.backbone_names() == ["fold-0", "fold-1"]
    history = artifacts.load_history("fold-0")
    assert list(history) == [
        *("epoch", "train_loss", "val_loss", "lr", "trainable"),
        *("val_macro_f1", "val_kappa", "val_balanced_accuracy_adjusted", "val_auc"),
        *("predicted_a", "predicted_b", "recall_a", "recall_b", "collapse", "grad_norm", "seconds", "chosen"),
    ]
    assert history["epoch"].tolist() == [1, 2]
    assert history["chosen"].sum() == 1
    assert (history["predicted_a"] + history["predicted_b"]).tolist() == [15, 15]
    assert not artifacts.CHECKPOINTS.exists()

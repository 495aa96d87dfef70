import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imports import ROOT
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from pipeline import artifacts, params, provenance
from pipeline.backbone import inputs, models
from pipeline.errors import PipelineError
from pipeline.stages import finetune

VALUES = YAML(typ="safe").load(ROOT / "params.yaml")
N = 60


def settings(data=None, **changes):
    """Params for a tiny model; `changes` are of the section finetune, but for `backbone`."""
    values = {**VALUES, "data": {**VALUES["data"], "classes": None, **(data or {})}}
    values["backbone"] = changes.pop("backbone", {"model": "test_resnet", "weights": "none"})
    augment = {**VALUES["finetune"]["augment"], **changes.pop("augment", {})}
    values["finetune"] = {**VALUES["finetune"], "epochs": 2, "batch_size": 16, "augment": augment, **changes}
    return params.check(values)


def write(labels, folds=2, shift=0, render="", exported="", **columns):
    """An index, splits and a picture store of 32 px: class `b` is bright."""
    ids = [f"image-{number:02d}" for number in range(len(labels))]
    index = pd.DataFrame({name: np.zeros(len(ids), kind) for name, kind in artifacts.INDEX_COLUMNS.items()})
    index = index.assign(image_id=ids, group=[f"p{number // 2}" for number in range(len(ids))], label=labels, **columns)
    artifacts.save_index(index)
    roles = np.array(["train", "train", "val", "test"] * (len(ids) // 4))
    splits = [
        pd.DataFrame({"image_id": ids, "fold": fold, "role": np.roll(roles, fold + shift)}) for fold in range(folds)
    ]
    artifacts.save_splits(pd.concat(splits), {})
    bright = np.array(["b" in label for label in labels])
    noise = np.random.default_rng(0).integers(0, 120, (len(ids), 32, 32))
    pictures = (noise + 120 * bright[:, None, None]).astype(np.uint8)
    artifacts.PIXELS.mkdir(parents=True, exist_ok=True)
    np.save(artifacts.PIXELS / "00000.npy", pictures)
    rows = pd.DataFrame({name: np.zeros(len(ids), kind) for name, kind in artifacts.PIXEL_ROWS.items()})
    rows = rows.assign(image_id=ids, fingerprint=[name + exported for name in ids], row=np.arange(len(ids)))
    files = {"00000.npy": provenance.checksum(artifacts.PIXELS / "00000.npy")}
    artifacts.save_pixels(rows, pictures.shape[1:], pictures.dtype, files, {"render": render}, [])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finetune, "SOURCES", [])  # a source that is edited during the test is no fault


LABELS = ["a", "a", "b", "a", "a"] * (N // 5)


@pytest.fixture
def two_classes():
    write(LABELS)


def weights(name="fold-0"):
    return load_file(artifacts.BACKBONE / name / "weights.safetensors")


@pytest.fixture
def one_thread():
    """As in tests/training.py: the number of threads decides the order of sums, and so their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def contents():
    """Weights of all backbones, and their histories but for the seconds."""
    tables = [artifacts.load_history(name).drop(columns="seconds").to_csv() for name in artifacts.backbone_names()]
    return [path.read_bytes() for path in sorted(artifacts.BACKBONE.glob("*/*.safetensors"))], tables


EVERYTHING = {
    "epochs": 4,
    "batch_size": 8,
    "accumulate": 2,
    "average": 0.9,
    "clip": 1.0,
    "policy": {"name": "warmup", "epochs": 1, "then": "full"},
    "sampler": {"name": "dynamic", "floor": 0.1},
    "on_collapse": "reduce_lr",
    "augment": {"mixup": 0.2, "minority": 2.0, "noise": 0.05},
}
STILL = dict.fromkeys(("degrees", "shift", "scale", "contrast"), 0.0) | {"flip": False}
# Attention and LayerNorm: no picture of a batch changes what another gives.
TOGETHER = {"model": "test_vit", "weights": "none"}
SCENARIOS = {
    "killed": settings(**EVERYTHING),
    "together": settings(backbone=TOGETHER, **EVERYTHING | {"sampler": "weighted", "augment": STILL}),
    "norms": settings(**EVERYTHING | {"epochs": 2, "policy": "full"}),
    "failing": settings(**EVERYTHING),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of each scenario after its processes ended."""
    folders, here = {}, Path.cwd()
    for name, chosen in SCENARIOS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        os.chdir(folders[name])
        write(LABELS)
        Path("settings.pickle").write_bytes(pickle.dumps(chosen))
    os.chdir(here)
    command = [sys.executable, ROOT / "tests" / "training.py", *(f"{name}={path}" for name, path in folders.items())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    run = subprocess.run(command, timeout=120, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folders, run.stderr


def test_a_training_that_is_killed_again_and_again_ends_as_one_that_is_not(done, monkeypatch, one_thread):
    folders, printed = done
    monkeypatch.chdir(folders["killed"])
    assert Path("status").read_text() == "0", printed
    assert sum(".pt" in line for line in Path("left").read_text().splitlines()) >= 2
    killed = contents()
    shutil.rmtree(artifacts.BACKBONE)
    finetune.run(SCENARIOS["killed"])
    assert contents() == killed
    assert not artifacts.CHECKPOINTS.exists()


def test_two_processes_share_each_batch_and_end_with_the_weights_of_one(done, monkeypatch):
    folders, printed = done
    monkeypatch.chdir(folders["together"])
    assert Path("status").read_text() == "0", printed
    assert Path("weights-0").read_bytes() == Path("weights-1").read_bytes()
    together, tables = weights("fold-1"), [artifacts.load_history(name) for name in artifacts.backbone_names()]
    shutil.rmtree(artifacts.BACKBONE)
    take, alone = artifacts.Pictures.take, []

    def watched(pictures, rows):
        alone.append(rows.tolist())
        return take(pictures, rows)

    monkeypatch.setattr(artifacts.Pictures, "take", watched)
    monkeypatch.setattr(inputs, "has_bf16", lambda where: False)
    finetune.run(SCENARIOS["together"])
    for name, table in zip(artifacts.backbone_names(), tables, strict=True):
        mine = artifacts.load_history(name)
        pd.testing.assert_frame_equal(mine.drop(columns="seconds"), table.drop(columns="seconds"), rtol=1e-4)
    for name, value in weights("fold-1").items():
        np.testing.assert_allclose(value, together[name], atol=1e-4)
    of_rank = [json.loads(Path(f"shown-{rank}.json").read_text()) for rank in range(2)]
    # In fold 0 the first two of each four images are trained on.
    batches = [rows for rows in alone if all(row % 4 < 2 for row in rows)]
    parts = [pair for pair in zip(*of_rank, strict=True) if all(row % 4 < 2 for row in pair[0] + pair[1])]
    assert len(batches) == 16
    assert [sorted(first + second) for first, second in parts] == list(map(sorted, batches))
    assert all(abs(len(first) - len(second)) <= 1 for first, second in parts)


def test_two_processes_end_with_the_same_statistics_of_batch_norm(done):
    folders, printed = done
    assert (folders["norms"] / "status").read_text() == "0", printed
    one, other = ((folders["norms"] / f"weights-{rank}").read_bytes() for rank in range(2))
    assert one == other
    assert b"running_var" in one


def test_a_process_that_fails_does_not_leave_the_other_waiting(done):
    folders, printed = done
    assert (folders["failing"] / "status").read_text() == "1"
    assert "OSError: the disk is gone" in printed
    assert not list((folders["failing"] / artifacts.BACKBONE).glob("*/manifest.json"))


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


def test_what_did_not_change_is_kept_and_what_belongs_to_no_fold_is_deleted(two_classes, caplog):
    finetune.run(settings())
    before = {path: path.stat().st_mtime_ns for path in artifacts.BACKBONE.rglob("*.safetensors")}
    (artifacts.CHECKPOINTS).mkdir()
    caplog.clear()
    finetune.run(settings())
    assert [record.message for record in caplog.records] == [f"fold-{k}: nothing changed, kept" for k in (0, 1)]
    assert {path: path.stat().st_mtime_ns for path in artifacts.BACKBONE.rglob("*.safetensors")} == before
    assert not artifacts.CHECKPOINTS.exists()
    write(LABELS, folds=1)
    finetune.run(settings(lr=0.001))
    assert artifacts.backbone_names() == ["fold-0"]
    assert artifacts.BACKBONE.joinpath("fold-0/weights.safetensors").stat().st_mtime_ns > max(before.values())


@pytest.mark.parametrize(
    "change", [{"shift": 1}, {"render": "other"}, {"exported": "again"}, {"labels": ["b", *LABELS[1:]]}]
)
def test_other_roles_labels_pictures_or_renderings_are_trained_on_anew(caplog, change):
    write(LABELS, folds=1)
    finetune.run(settings(epochs=1))
    caplog.clear()
    write(**{"labels": LABELS, "folds": 1, **change})
    finetune.run(settings(epochs=1))
    assert "fold-0: nothing changed, kept" not in caplog.messages
    caplog.clear()
    finetune.run(settings(epochs=1))
    assert caplog.messages == ["fold-0: nothing changed, kept"]


def test_a_frozen_backbone_is_shared_by_all_folds(two_classes, caplog):
    finetune.run(settings(policy="frozen"))
    assert artifacts.backbone_names() == ["shared"]
    assert artifacts.load_history("shared").empty
    assert [record.message for record in caplog.records] == ["shared: nothing is trained (policy frozen)"]
    fresh = models.create("test_resnet", "none", 1, 32, 0, 0).state_dict()
    assert set(fresh) == set(weights("shared"))
    assert all(np.array_equal(value, fresh[name].numpy()) for name, value in weights("shared").items())
    finetune.run(settings(policy="frozen"))
    assert len(caplog.records) == 1


def test_a_frozen_backbone_stays_when_a_class_comes(two_classes, caplog):
    finetune.run(settings(policy="frozen"))
    before = artifacts.load_backbone("shared")
    write(["a", "b", "c", "a", "a"] * (N // 5))
    finetune.run(settings(policy="frozen"))
    assert len(caplog.records) == 1
    assert artifacts.load_backbone("shared") == before
    assert "fc.weight" not in weights("shared")
    assert {path.name for path in artifacts.BACKBONE.iterdir()} == {"shared"}


@pytest.mark.parametrize("names", [("loss", "epoch"), ("1", "NA"), ('a, "b"; c', "b\n{0}")])
def test_a_class_may_be_called_anything(names, caplog):
    write([names[label == "b"] for label in LABELS], folds=1)
    finetune.run(settings(epochs=1))
    history = artifacts.load_history("fold-0")
    assert (history[f"predicted_{names[0]}"] + history[f"predicted_{names[1]}"]).tolist() == [15]
    assert 0 <= history[f"recall_{names[1]}"][0] <= 1


def interrupt(monkeypatch, reads):
    """Ctrl-C at a reading of pictures."""
    take, calls = artifacts.Pictures.take, iter(range(reads))

    def taken(pictures, rows):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return take(pictures, rows)

    with monkeypatch.context() as patch:
        patch.setattr(artifacts.Pictures, "take", taken)
        with pytest.raises(KeyboardInterrupt):
            finetune.run(settings(epochs=3))


def test_an_interrupted_training_goes_on_after_its_last_epoch(two_classes, monkeypatch, caplog):
    interrupt(monkeypatch, 8)  # of 3 a epoch
    finetune.run(settings(epochs=3))
    assert "fold-0: goes on after epoch 2, where it was interrupted" in caplog.messages
    resumed = contents()
    shutil.rmtree(artifacts.BACKBONE)
    finetune.run(settings(epochs=3))
    assert contents() == resumed


def test_an_interrupted_training_of_another_kind_begins_anew(two_classes, monkeypatch, caplog):
    interrupt(monkeypatch, 8)
    finetune.run(settings(epochs=3, lr=0.001))
    assert not any("goes on" in line for line in caplog.messages)


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"\x00" * 100, None])
def test_a_damaged_checkpoint_is_told_and_training_begins_anew(two_classes, monkeypatch, caplog, damage):
    interrupt(monkeypatch, 8)
    path = artifacts.CHECKPOINTS / "fold-0.pt"
    content = path.read_bytes()
    path.write_bytes(content[:-1000] + b"?" + content[-999:] if damage is None else damage)
    path.with_name(".fold-0.pt.abc").touch()
    finetune.run(settings(epochs=3))
    assert "artifacts/checkpoints/fold-0.pt is damaged: this training begins anew" in caplog.messages
    assert not any("goes on" in line for line in caplog.messages)
    assert len(artifacts.load_history("fold-0")) == 3
    assert not artifacts.CHECKPOINTS.exists()


def test_a_loss_that_is_not_finite_names_images_and_leaves_no_backbone(two_classes):
    with pytest.raises(PipelineError, match=r"epoch \d: .* not finite.*: image-\d\d, image-\d\d"):
        finetune.run(settings(lr=1e30, epochs=6))
    assert not artifacts.BACKBONE.exists()


def test_a_fold_without_pictures_of_a_role_is_refused(two_classes):
    splits = artifacts.load_splits()
    artifacts.save_splits(splits[splits["role"] != "val"], {})
    with pytest.raises(PipelineError, match=r"finetune, fold-0: no val row has a picture\n  Remedy: see artifacts/q"):
        finetune.run(settings())


def test_a_collapse_is_told_with_clause_and_class(two_classes, caplog):
    finetune.run(settings(lr=1e-9, average=0.0, sampler="none"))
    told = [line for line in caplog.messages if "signs of collapse" in line]
    assert told
    assert "never_predicted" in told[0] or "class_f1" in told[0]
    assert artifacts.load_history("fold-0")["collapse"].str.contains("kappa").all()


def test_several_labels_with_missing_ones_are_learned(caplog):
    given = {"label_a": np.array([1, 0, 1, -1, 0] * 12), "label_b": np.array([0, 1, -1, 1, 0] * 12)}
    write(["a", "b", "a", "b", artifacts.NO_FINDING] * 12, **given)
    chosen = settings(data={"task": "multilabel"}, loss={"name": "weighted_bce", "most": 20}, sampler="none")
    finetune.run(chosen)
    history = artifacts.load_history("fold-1")
    assert {"predicted_a", "predicted_b", "recall_a", "recall_b", "val_auc"} <= set(history)
    assert history["predicted_b"].max() <= 12
    assert "fold-0: rare classes are favoured by loss weighted_bce (most 20), sampler none" in caplog.messages


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "rare classes are favoured by sampler weighted, loss cross_entropy"),
        ({"sampler": "none"}, "rare classes are not favoured, loss cross_entropy"),
        (
            {"sampler": {"name": "tempered", "power": 0.5}, "loss": "weighted", "allow_double_balance": True},
            "rare classes are favoured twice, by sampler tempered (power 0.5) and by loss weighted",
        ),
    ],
)
def test_the_log_says_what_favours_rare_classes(changes, line):
    assert finetune.balance(settings(**changes).finetune) == line

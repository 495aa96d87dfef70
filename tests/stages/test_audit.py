"""The audit stage on files as the other stages leave them."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, params, provenance, storage
from pipeline.__main__ import main
from pipeline.errors import PipelineError
from pipeline.features.checks import CHECKS
from pipeline.stages import audit

REPOSITORY = Path(__file__).parents[2]
COUNT, ASIDE = 24, 23  # images; the place of the one whose pixels can't be decoded


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The artifacts of a healthy run with two backbones, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / params.FILE, tmp_path)
    write_artifacts()
    return params.load()


def write_artifacts(roles=("train", "train", "val", "test"), change=lambda values: values):
    rng = np.random.default_rng(0)
    ids = [f"1.2.{number:03d}" for number in range(COUNT)]
    text = {name: [""] * COUNT for name, kind in artifacts.INDEX_COLUMNS.items() if kind == "str"}
    whole = {name: [0] * COUNT for name, kind in artifacts.INDEX_COLUMNS.items() if kind != "str"}
    index = pd.DataFrame({**text, **whole, "image_id": ids}).assign(
        path=[f"{image}.dcm" for image in ids],
        group=[f"g{number // 2}" for number in range(COUNT)],
        fingerprint=[f"f{number}" for number in range(COUNT)],
        label=["AB"[number // 2 % 2] for number in range(COUNT)],
    )
    artifacts.save_index(index)
    artifacts.save_quarantine("pixels", [{"path": f"{ids[ASIDE]}.dcm", "reason": "is truncated", "remedy": "-"}])
    splits = [
        (image, fold, roles[(number // 2 + fold) % len(roles)]) for fold in (0, 1) for number, image in enumerate(ids)
    ]
    splits = pd.DataFrame(splits, columns=list(artifacts.SPLITS_COLUMNS))
    artifacts.save_splits(splits, {})
    rows = index.loc[:, ["image_id", "fingerprint"]].drop(ASIDE).assign(view=0)
    with storage.file_atomic(artifacts.PIXELS / "00000.npy") as file:
        np.save(file, rng.integers(0, 256, (len(rows), 16, 16), np.uint8))
    shards = {"00000.npy": provenance.checksum(artifacts.PIXELS / "00000.npy")}
    located = rows.assign(shard=0, row=range(len(rows)), window="as stored", crop="0,0,16,16", mirrored=False)
    artifacts.save_pixels(located, (16, 16), np.dtype(np.uint8), shards, {"size": 16}, [])
    pictures = artifacts.load_pixels()
    values, made_by = {}, {}
    for fold, name in enumerate(("fold-0", "fold-1")):
        trained_on = {"split": artifacts.split_checksum(splits[splits["fold"] == fold], index)}
        artifacts.save_backbone(name, name.encode(), pd.DataFrame({"epoch": [0]}), {"inputs": trained_on})
        values[name] = change(rng.normal(size=(len(rows), 8)).astype(np.float32))
        inputs = {
            "backbone": artifacts.load_backbone(name)["files"]["weights.safetensors"],
            "pixels": pictures.manifest["files"]["rows.parquet"],
            "render": provenance.checksum_of_json(pictures.manifest["made_by"]),
        }
        made_by[name] = {"inputs": inputs}
    artifacts.save_features(values, rows, made_by)


def found():
    return json.loads(artifacts.AUDIT.read_text())["checks"]


def test_a_healthy_run_passes_every_check(settings):
    audit.run(settings)
    assert list(found()) == list(CHECKS)
    assert {check["verdict"] for check in found().values()} == {"ok"}
    keys = {"value", "threshold", "verdict", "rows", "row_count", "finding", "question", "figures"}
    assert all(set(check) == keys for check in found().values())
    assert found()["dead_dimensions"]["threshold"] == 0.5
    assert found()["duplicate_rows"]["threshold"] == 0.01
    assert found()["row_count"]["finding"] == "All 23 images of the split have one feature row each."


def test_a_look_is_written_and_lets_the_pipeline_go_on(settings):
    write_artifacts(change=lambda values: np.repeat(values[:12], 2, axis=0)[:23])
    audit.run(settings)
    assert found()["duplicate_rows"]["verdict"] == "look"
    assert len(found()["duplicate_rows"]["rows"]) == 22


def test_invalid_features_fail_after_all_is_written_and_the_page_of_an_earlier_audit_goes(settings):
    write_artifacts(change=lambda values: np.where(values > 1, np.float32("nan"), values))
    artifacts.AUDIT_PAGE.write_text("The features can be trusted.")
    with pytest.raises(PipelineError, match=r"invalid:\n  - finite: Rows of fold-[01]\.npy with NaN or infinity"):
        audit.run(settings)
    assert found()["finite"]["verdict"] == "invalid"
    assert found()["finite"]["rows"]
    assert not artifacts.AUDIT_PAGE.exists()


@pytest.mark.parametrize(
    "file", ["features/fold-1.npy", "features/rows.parquet", "pixels/00000.npy", "backbone/fold-0/weights.safetensors"]
)
def test_a_file_that_was_changed_behind_our_back_is_a_finding_and_no_crash(settings, file):
    path = artifacts.ROOT / file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(PipelineError, match=rf"checksum: artifacts/{file}: its content is not what manifest.json says"):
        audit.run(settings)
    assert list(found()) == ["checksum"]
    assert found()["checksum"]["verdict"] == "invalid"


def test_a_backbone_that_was_trained_on_another_split_is_found(settings):
    """It may have seen the rows that it is tested on."""
    splits = artifacts.load_splits()
    splits.loc[splits["fold"] == 1, "role"] = splits.loc[splits["fold"] == 1, "role"].to_numpy()[::-1]
    artifacts.save_splits(splits, {})
    with pytest.raises(PipelineError, match=r"provenance: .*\(fold-1: split\)"):
        audit.run(settings)


def test_weights_that_were_trained_again_without_embedding_are_found(settings):
    made_by = artifacts.load_backbone("fold-1")["made_by"]
    artifacts.save_backbone("fold-1", b"other", pd.DataFrame({"epoch": [0]}), made_by)
    with pytest.raises(PipelineError, match=r"provenance: .*fold-1: backbone"):
        audit.run(settings)


def test_a_patient_in_two_roles_is_found_with_the_images(settings):
    splits = artifacts.load_splits()
    splits.loc[(splits["fold"] == 0) & (splits["image_id"] == "1.2.004"), "role"] = "train"
    artifacts.save_splits(splits, {})
    with pytest.raises(PipelineError, match=r"patients_across_roles: .*: 1 \(fold 0\)"):
        audit.run(settings)
    assert found()["patients_across_roles"]["rows"] == ["1.2.004", "1.2.005"]


def test_an_image_that_was_lost_between_split_and_features_is_found(settings):
    artifacts.save_quarantine("pixels", [])
    with pytest.raises(PipelineError, match="row_count"):
        audit.run(settings)
    assert found()["row_count"]["rows"] == ["1.2.023"]


def test_the_drift_that_embedding_found_is_shown(settings):
    features = artifacts.load_features()
    measured = {"fold-0": {"drift": {"rows": 16, "noise": 0.02}}, "fold-1": {"drift": {"rows": 16, "noise": 0.15}}}
    artifacts.save_features(dict(features.values), features.rows, features.manifest["made_by"], measured)
    audit.run(settings)
    assert (found()["drift"]["value"], found()["drift"]["verdict"]) == (0.15, "look")
    assert found()["drift"]["finding"].startswith("16 rows of fold-1.npy were embedded again")


def test_thresholds_come_from_the_params(settings):
    strict = dataclasses.replace(settings, audit=dataclasses.replace(settings.audit, duplicate_rows=0.99))
    write_artifacts(change=lambda values: np.repeat(values[:12], 2, axis=0)[:23])
    audit.run(strict)
    assert found()["duplicate_rows"]["verdict"] == "ok"


def test_the_command_exits_with_1_and_names_the_failed_check(settings, capsys):
    assert main(["audit"]) == 0
    write_artifacts(change=lambda values: values * 0)
    assert main(["audit"]) == 1
    assert "dead_dimensions" in capsys.readouterr().err


def test_the_audit_starts_without_the_heavy_libraries():
    heavy = "{'torch', 'sklearn', 'matplotlib', 'scipy', 'pydicom'}"
    code = f"import sys, pipeline.stages.audit; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

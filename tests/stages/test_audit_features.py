"""A file of features is audited on its own: rows are named by their number, and no artifact is touched."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import params
from pipeline.__main__ import main

REPOSITORY = Path(__file__).parents[2]
COUNT = 240


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / params.FILE, tmp_path)
    return tmp_path


def write(file="f.npz", **changed):
    rng = np.random.default_rng(0)
    y, patient = np.arange(COUNT) // 2 % 3, np.arange(COUNT) // 2
    X = rng.normal(size=(COUNT, 12)).astype(np.float32) + 3 * np.eye(3, 12, dtype=np.float32)[y]
    arrays = {
        "features": X,
        "labels": np.array(list("ABC"))[y],
        "patients": np.array([f"Doe {number}" for number in patient]),
        "splits": np.array(["train", "train", "val", "test"])[patient // 3 % 4],
    }
    np.savez(file, **{**arrays, **changed})
    return arrays


def found(root):
    return json.loads((Path(root) / "audit.json").read_text())["checks"]


def test_a_leaked_patient_and_a_row_that_stands_twice_are_named_by_their_numbers(folder, capsys):
    arrays = write()
    arrays["features"][COUNT - 1] = arrays["features"][0]
    arrays["patients"][COUNT - 1] = arrays["patients"][0]
    write(features=arrays["features"], patients=arrays["patients"])
    assert main(["audit", "--features", "f.npz"]) == 1
    assert "patients_across_roles: Patients in more than one" in capsys.readouterr().err
    checks = found("audit-f")
    assert {"row 1", "row 240"} <= set(checks["patients_across_roles"]["rows"])
    assert checks["twins_across_roles"]["rows"] == ["row 1", "row 240"]
    table = pd.read_csv("audit-f/audit/twins_across_roles.csv")
    assert table[["kind", "same_patient"]].to_numpy().tolist() == [["same features", True]]
    assert (folder / "audit-f" / "audit.html").exists()
    assert not (folder / "artifacts").exists()
    assert "Doe " not in "".join(file.read_text(errors="ignore") for file in folder.rglob("audit*.*"))


def test_an_array_without_labels_is_audited_for_what_needs_none(folder):
    np.save("bare.npy", write()["features"])
    assert main(["audit", "--features", "bare.npy", "--out", "here"]) == 0
    assert {check["verdict"] for check in found("here").values()} == {"ok"}


def test_rows_without_a_label_are_kept_and_are_of_no_class(folder):
    labels = write()["labels"].copy()
    labels[:4] = ""
    write(labels=labels)
    assert main(["audit", "--features", "f.npz"]) == 0
    assert "All 240 images" in found("audit-f")["row_count"]["finding"]


def test_a_check_that_params_name_stops_the_run_and_a_name_that_is_none_is_refused(folder, capsys):
    file = folder / params.FILE
    file.write_text(file.read_text().replace("fail_on: [invalid]", "fail_on: [duplicate_rows]"))
    features = write()["features"].copy()
    features[100:110] = features[0]
    write(features=features)
    assert main(["audit", "--features", "f.npz"]) == 1
    said = capsys.readouterr().err
    assert "not to be used (audit.fail_on):\n  - duplicate_rows: Rows of shared.npy" in said
    file.write_text(file.read_text().replace("[duplicate_rows]", "[dupes]"))
    assert main(["audit", "--features", "f.npz"]) == 1
    assert "audit.fail_on: there is no verdict or check dupes" in capsys.readouterr().err

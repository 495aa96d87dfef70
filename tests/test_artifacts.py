import errno
import os
import tempfile

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, provenance, storage
from pipeline.errors import PipelineError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def features(rows=3):
    return pd.DataFrame({"image_id": [f"i{n}" for n in range(rows)], "fingerprint": "f", "view": 0})


def save(value=0.0):
    artifacts.save_features({"shared": np.full((3, 2), value, np.float32)}, features(), {"shared": {"inputs": {}}})


def test_features_come_back_as_they_were_written():
    save(1.5)
    loaded = artifacts.load_features()
    np.testing.assert_array_equal(loaded.of_fold(7), np.full((3, 2), 1.5, np.float32))
    assert loaded.rows["image_id"].tolist() == ["i0", "i1", "i2"]
    assert loaded.manifest["arrays"] == {"shared": {"shape": [3, 2], "dtype": "float32"}}


def test_a_fold_reads_its_own_features():
    values = {f"fold-{fold}": np.full((3, 2), fold, np.float32) for fold in (0, 1)}
    artifacts.save_features(values, features(), {name: {} for name in values})
    assert artifacts.load_features().of_fold(1)[0, 0] == 1


def test_a_changed_file_is_refused_with_the_command_that_rebuilds_it():
    save()
    array = np.load(artifacts.FEATURES / "shared.npy")
    array[0, 0] = 9
    np.save(artifacts.FEATURES / "shared.npy", array)
    with pytest.raises(
        PipelineError, match=r"not what manifest.json says\n.*delete .*shared.npy and run `dvc repro embed`"
    ):
        artifacts.load_features()


def test_a_missing_artifact_names_the_stage_that_writes_it():
    with pytest.raises(PipelineError, match=r"index.parquet: is missing\n  Remedy: run `dvc repro index`"):
        artifacts.load_index()
    with pytest.raises(PipelineError, match=r"Remedy: run `dvc repro fit@smote-mlp`"):
        artifacts.load_fit("smote-mlp")


def test_a_table_without_a_column_of_its_schema_is_refused():
    artifacts.ROOT.mkdir()
    pd.DataFrame({"image_id": ["a"]}).to_parquet(artifacts.SPLITS)
    with pytest.raises(PipelineError, match="lacks the columns fold, role"):
        artifacts.load_splits()


def test_a_damaged_table_is_refused():
    artifacts.ROOT.mkdir()
    artifacts.INDEX.write_bytes(b"PAR1 nothing")
    with pytest.raises(PipelineError, match="is damaged"):
        artifacts.load_index()


def test_equal_tables_give_equal_bytes():
    splits = pd.DataFrame({"image_id": ["a", "b"], "fold": [0, 0], "role": ["train", "test"]})
    artifacts.save_splits(splits, {})
    first = artifacts.SPLITS.read_bytes()
    artifacts.save_splits(splits.copy(), {})
    assert artifacts.SPLITS.read_bytes() == first


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"no space left on the disk\n  Remedy: free some space"),
        (
            errno.EACCES,
            r"cannot be written \(Permission denied\)\n  Remedy: give yourself write permission on artifacts",
        ),
    ],
)
def test_a_disk_that_refuses_leaves_the_old_artifact_and_no_debris(monkeypatch, code, message):
    storage.write_atomic(artifacts.METRICS, b"old")
    save(1.0)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(PipelineError, match=message):
            storage.write_atomic(artifacts.METRICS, b"new")
        with pytest.raises(PipelineError, match=message):
            save(2.0)
    assert artifacts.METRICS.read_bytes() == b"old"
    assert artifacts.load_features().of_fold(0)[0, 0] == 1.0
    assert sorted(path.name for path in artifacts.ROOT.iterdir()) == ["features", "metrics.json"]


def test_an_interrupted_folder_leaves_the_old_one(monkeypatch):
    save(1.0)
    monkeypatch.setattr(np, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save(2.0)
    assert artifacts.load_features().of_fold(0)[0, 0] == 1.0
    assert [path.name for path in artifacts.ROOT.iterdir()] == ["features"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(monkeypatch):
    save(1.0)
    rename = os.rename

    def refuse_the_new(source, target):
        if str(target) == str(artifacts.FEATURES) and not str(source).endswith(".old"):
            raise OSError(errno.EACCES, "Permission denied")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse_the_new)
        with pytest.raises(PipelineError, match="cannot be written"):
            save(2.0)
    assert artifacts.load_features().of_fold(0)[0, 0] == 1.0
    assert [path.name for path in artifacts.ROOT.iterdir()] == ["features"]


def test_what_a_killed_run_left_is_put_back_or_deleted():
    save(1.0)
    os.rename(artifacts.FEATURES, artifacts.ROOT / ".features.abc.old")
    (artifacts.ROOT / ".features.abc").mkdir()
    with pytest.raises(KeyboardInterrupt), storage.folder_atomic(artifacts.FEATURES):
        raise KeyboardInterrupt
    assert artifacts.load_features().of_fold(0)[0, 0] == 1.0
    assert [path.name for path in artifacts.ROOT.iterdir()] == ["features"]


def test_a_fold_without_features_names_the_stage_to_run():
    artifacts.save_features({"fold-0": np.zeros((3, 2), np.float32)}, features(), {"fold-0": {}})
    with pytest.raises(PipelineError, match=r"fold-1.npy: is missing\n  Remedy: run `dvc repro embed`"):
        artifacts.load_features().of_fold(1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path):
    artifacts.ROOT.mkdir(mode=0o500)
    with pytest.raises(PipelineError, match="give yourself write permission"):
        storage.write_atomic(artifacts.METRICS, b"")


def test_each_stage_owns_its_part_of_the_quarantine():
    artifacts.save_quarantine("index", [{"path": "b.dcm", "reason": "r", "remedy": "m"}])
    artifacts.save_quarantine("pixels", [{"path": "a.dcm", "reason": "r2", "remedy": "m"}])
    artifacts.save_quarantine("index", [{"path": "c, d.dcm", "reason": "r3", "remedy": "m"}])
    table = pd.read_csv(artifacts.QUARANTINE)
    assert table.columns.tolist() == ["path", "stage", "reason", "remedy"]
    assert table[["path", "stage"]].to_numpy().tolist() == [["c, d.dcm", "index"], ["a.dcm", "pixels"]]


def test_an_empty_quarantine_is_a_table_with_a_header():
    artifacts.save_quarantine("index", [])
    assert artifacts.QUARANTINE.read_text() == "path,stage,reason,remedy\n"


def test_classes_are_sorted_by_value_where_they_are_numbers():
    index = pd.DataFrame({"label": ["10", "nan", "9", "1", "b", "a"]})
    assert artifacts.classes(index, None) == ["1", "9", "10", "a", "b", "nan"]
    assert artifacts.classes(index, ["b", "a"]) == ["b", "a"]


def test_json_has_no_nan():
    storage.save_json(artifacts.METRICS, {"a": float("nan"), "b": np.float32(0.5), "c": [np.int64(3)]})
    assert storage.load_json(artifacts.METRICS, "evaluate") == {"a": None, "b": 0.5, "c": [3]}


def test_rows_of_pictures_meet_their_label_and_role():
    index = pd.DataFrame({"image_id": ["a", "b", "c"], "label": ["x", "y", "x"], "group": ["1", "2", "3"]})
    split = pd.DataFrame({"image_id": ["c", "a"], "role": ["test", "train"]})
    rows = artifacts.join_rows(pd.DataFrame({"image_id": ["c", "a", "b"]}), index, split, ["y", "x"])
    assert rows[["image_id", "class_number", "role"]].to_numpy().tolist() == [
        ["c", 1, "test"],
        ["a", 1, "train"],
        ["b", 0, ""],
    ]


def test_provenance_changes_with_the_code_and_the_params(tmp_path):
    (tmp_path / "room.py").write_text("a = 1")

    def made(params):
        return provenance.of("embed", params, {}, ["numpy"], [tmp_path / "room.py"])

    first, other = made({"size": 64}), made({"size": 96})
    assert first["packages"]["numpy"] == np.__version__
    (tmp_path / "room.py").write_text("a = 2")
    assert len({str(first), str(other), str(made({"size": 64}))}) == 3


def test_a_temporary_file_lies_beside_its_target(monkeypatch):
    """A rename is atomic within one file system only."""
    seen = []
    original = tempfile.mkstemp

    def spy(**options):
        seen.append(options["dir"])
        return original(**options)

    monkeypatch.setattr(tempfile, "mkstemp", spy)
    storage.write_atomic(artifacts.METRICS, b"")
    assert seen == [artifacts.ROOT]

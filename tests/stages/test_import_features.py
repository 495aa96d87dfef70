import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imports import ROOT

from pipeline import __main__ as command
from pipeline import artifacts, params, storage
from pipeline.errors import PipelineError
from pipeline.stages import audit, evaluate, fit, import_features, report

PARAMS = params.load(ROOT / "params.yaml")
COLUMNS = {"labels": "labels.csv", "label": "label", "path": None, "id": "id", "patient": "who", "split": None}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")


def with_params(**data):
    return dataclasses.replace(
        PARAMS,
        data=dataclasses.replace(PARAMS.data, **{**COLUMNS, **data}),
        split=dataclasses.replace(PARAMS.split, folds=1, tries=2),
        grid=dataclasses.replace(PARAMS.grid, resamplers=["none", "smote"], heads=["logistic"]),
        evaluate=dataclasses.replace(PARAMS.evaluate, draws=100),
        engine=dataclasses.replace(PARAMS.engine, workers=1),
    )


def table(rows=180, seed=0):
    """Rows of 60 patients, three each, of a class that the first feature tells."""
    rng = np.random.default_rng(seed)
    who = np.arange(rows) // 3
    label = np.where(who % 4 == 0, "rare", "common")
    values = rng.normal(size=(rows, 5)) + 2.0 * (label == "rare")[:, None] * np.eye(5)[0]
    features = pd.DataFrame(values.astype(np.float32), columns=[f"f{number}" for number in range(5)])
    ids = [f"1.2.{number + 1}" for number in rng.permutation(rows)]
    return features.assign(id=ids, who=[f"Secret{name}" for name in who], label=label)


def save(of, kind):
    """The table as a file of this kind, with labels beside it where it has no columns."""
    path = Path(f"features.{kind}")
    values = of.filter(regex=r"^f\d").to_numpy()
    if kind == "npy":
        np.save(path, values)
        of.drop(columns=[f"f{number}" for number in range(5)]).to_csv("labels.csv", index=False)
    elif kind == "npz":
        text = {name: of[column].to_numpy(str) for name, column in {"ids": "id", "patients": "who"}.items()}
        np.savez(path, features=values, labels=of["label"].to_numpy(str), **text)
    elif kind == "csv":
        of.to_csv(path, index=False)
    else:
        of.to_parquet(path)
    return str(path)


def run(file, **data):
    import_features.run(with_params(**data), file)
    return artifacts.load_index(), artifacts.load_features()


def artifact_bytes():
    return {path: path.read_bytes() for path in sorted(artifacts.ROOT.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet"])
def test_rows_keep_their_features_labels_and_patients_in_the_order_of_the_index(kind):
    of = table()
    index, features = run(save(of, kind))
    expected = of.sort_values("id", ignore_index=True)
    assert features.rows["image_id"].tolist() == index["image_id"].tolist() == expected["id"].tolist()
    np.testing.assert_array_equal(features.of_fold(0), expected.filter(regex=r"^f\d").to_numpy())
    assert index["label"].tolist() == expected["label"].tolist()
    assert (index.groupby("group").size() == 3).all()
    assert pd.factorize(index["group"])[0].tolist() == pd.factorize(expected["who"])[0].tolist()
    assert index["path"][0] == f"features.{kind} row {of['id'].tolist().index(expected['id'][0]) + 1}"
    roles = artifacts.load_splits().merge(index[["image_id", "group"]], on="image_id")
    assert (roles.groupby("group")["role"].nunique() == 1).all()
    assert set(roles["role"]) == {"train", "val", "test"}


def stages(p):
    """What `dvc repro --downstream fit audit` runs."""
    for resampler in p.grid.resamplers:
        fit.run(p, f"{resampler}-logistic")
    evaluate.run(p)
    audit.run(p)
    report.run(p)


def test_the_stages_from_fit_on_run_without_images():
    run(save(table(), "npz"))
    stages(with_params())
    metrics = storage.load_json(artifacts.METRICS, "evaluate")
    assert all(arm["test"]["auc"] > 0.8 for arm in metrics["arms"].values())
    checks = storage.load_json(artifacts.AUDIT, "audit")["checks"]
    assert {name: check["verdict"] for name, check in checks.items()} == dict.fromkeys(checks, "ok")
    assert len(checks) >= 8
    told = {name: check["finding"] for name, check in checks.items()}
    assert told["checksum"] == "Every file of the features is what its manifest says."
    assert told["order"] == "The features were imported: there are no pictures to compare their order with."
    assert told["provenance"].startswith("The features are those that were imported last")
    assert told["drift"] == "No row was embedded again to compare (the features were imported)."
    assert "<h" in artifacts.REPORT.read_text()


def labels_table(rows=240, missing=0.1):
    rng = np.random.default_rng(1)
    of = table(rows).drop(columns="label")
    codes = (rng.normal(size=(rows, 2)) + of[["f0", "f1"]].to_numpy() > [0.5, 1.0]).astype(float)
    codes[rng.random(codes.shape) < missing] = np.nan
    return of.assign(Mass=codes[:, 0], Nodule=codes[:, 1])


def test_the_stages_from_fit_on_run_with_several_labels():
    of = labels_table()
    several = {"task": "multilabel", "label": ["Nodule", "Mass"]}
    index, features = run(save(of, "parquet"), **several)
    known = of[of[["Mass", "Nodule"]].notna().any(axis=1)].sort_values("id", ignore_index=True)
    assert index["image_id"].tolist() == known["id"].tolist()
    codes = known[["Nodule", "Mass"]].fillna(-1).to_numpy(int).tolist()
    assert index[["label_Nodule", "label_Mass"]].to_numpy().tolist() == codes
    np.testing.assert_array_equal(features.of_fold(0), known.filter(regex=r"^f\d").to_numpy())
    stages(with_params(**several))
    assert "Nodule" in artifacts.REPORT.read_text()


def test_an_archive_may_hold_several_labels_and_data_classes_chooses_among_them():
    of = labels_table(missing=0.0)
    codes = of[["Mass", "Nodule", "Mass"]].to_numpy(int)
    np.savez("f.npz", features=of[["f0", "f1"]].to_numpy(), labels=codes, ids=of["id"].to_numpy(str))
    index, _ = run("f.npz", task="multilabel", label=["Mass", "Nodule", "Edema"], classes=["Nodule", "Edema"])
    expected = of.sort_values("id")[["Nodule", "Mass"]].to_numpy(int).tolist()
    assert index[["label_Nodule", "label_Edema"]].to_numpy().tolist() == expected
    with pytest.raises(PipelineError, match=r"f.npz: array labels has 3 columns, but data.label names 2"):
        run("f.npz", task="multilabel", label=["Mass", "Nodule"])


def test_joined_labels_are_taken_apart():
    label = np.resize(["Mass|Nodule", "No Finding", "Nodule"], 180)
    index, _ = run(save(table().assign(label=label), "csv"), task="multilabel")
    assert artifacts.classes(index, None) == ["Mass", "Nodule"]


def test_the_split_that_the_file_brings_is_honoured():
    of = table()
    of["part"] = np.where(np.arange(len(of)) < 120, "train", np.where(np.arange(len(of)) < 150, "valid", "test"))
    index, _ = run(save(of, "csv"), split="part")
    splits = artifacts.load_splits().set_index("image_id")["role"]
    expected = of.set_index("id")["part"].replace("valid", "val")
    assert (splits == expected.reindex(splits.index)).all()
    assert storage.load_json(artifacts.SPLITS_SUMMARY, "split")["honoured"] is True
    assert len(index) == len(of)


def test_labels_are_found_by_id_where_the_file_has_none():
    of = table()
    of[["id", "who", "label"]].iloc[::-1].iloc[2:].to_csv("labels.csv", index=False)
    for file in ("f.npz", "f.parquet"):
        if file == "f.npz":
            np.savez(file, features=of[["f0", "f1"]].to_numpy(), ids=of["id"].to_numpy(str))
        else:
            of[["f0", "f1", "id"]].to_parquet(file)
        index, features = run(file)
        expected = of.iloc[:-2].sort_values("id", ignore_index=True)
        assert index["image_id"].tolist() == expected["id"].tolist()
        assert index["label"].tolist() == expected["label"].tolist()
        np.testing.assert_array_equal(features.of_fold(0), expected[["f0", "f1"]].to_numpy())
        assert artifacts.load_quarantine()["reason"].tolist() == ["empty label"] * 2


def test_ids_that_are_no_uids_and_patients_are_hidden_and_lead_to_their_row(caplog):
    caplog.set_level("INFO")
    of = table()
    of["id"] = [f"Name{number}" for number in range(len(of))]
    index, _ = run(save(of, "csv"))
    assert index["image_id"].str.fullmatch("id-[0-9a-f]{16}").all()
    assert sorted(index["path"]) == sorted(f"features.csv row {number}" for number in range(1, len(of) + 1))
    tables = [pd.read_parquet(path).to_csv() for path in artifacts.ROOT.rglob("*.parquet")]
    texts = [path.read_text() for kind in ("json", "csv") for path in artifacts.ROOT.rglob(f"*.{kind}")]
    written = "".join([*tables, *texts, caplog.text])
    assert "features.csv row 7" in written
    for word in ("Secret", "Name1"):
        assert word not in written


def test_without_ids_and_patients_each_row_stands_alone_and_that_is_said(caplog):
    index, _ = run(save(table()[["f0", "f1", "label"]], "csv"), id=None, patient=None)
    assert index["image_id"].nunique() == index["group"].nunique() == 180
    assert "no data.patient: each row is taken for a patient of its own" in caplog.text


@pytest.mark.parametrize("name", ["id", None])
def test_rows_with_equal_features_are_all_kept(name):
    of = table()
    of.loc[1, "f0":"f4"] = of.loc[0, "f0":"f4"].to_numpy()
    index, _ = run(save(of if name else of.drop(columns="id"), "csv"), id=name)
    assert index["image_id"].nunique() == 180


def test_the_same_file_gives_the_same_bytes():
    file = save(table(), "npz")
    run(file)
    before = artifact_bytes()
    run(file)
    assert artifact_bytes() == before


def test_what_was_imported_and_what_comes_next_is_told(caplog):
    caplog.set_level("INFO")
    of = table()
    of.loc[5, "label"] = ""
    run(save(of.assign(scanner="Acme"), "csv"))
    assert caplog.messages[:4] == [
        "features: 5 columns, f0 … f4",
        "columns that are not numbers and are left out: scanner",
        "import-features: 179 rows of 60 patients, 5 features (common 134, rare 45)",
        "set aside: 1 empty label",
    ]
    assert caplog.messages[-1] == "Next, without images: dvc repro --downstream fit audit"


def test_rows_that_are_joined_by_their_order_alone_are_told(caplog):
    caplog.set_level("INFO")
    run(save(table(), "npy"))
    told = "no ids tell which row is which: features.npy and labels.csv are taken to be in the same order"
    assert told in caplog.messages
    caplog.clear()
    np.savez("by_id.npz", features=np.eye(180), ids=table()["id"].to_numpy(str))
    run("by_id.npz")
    assert not [line for line in caplog.messages if "in the same order" in line]


def test_an_archive_with_fewer_labels_than_named_says_what_to_save():
    message = (
        r"features.npz: has no column 'Mass' \(data.label\), 'Nodule' .*\n  Remedy: save `labels` with a column for"
    )
    with pytest.raises(PipelineError, match=message):
        run(save(table(), "npz"), task="multilabel", label=["Mass", "Nodule"])


def test_the_manifest_tells_the_file():
    file = save(table(), "npz")
    _, features = run(file)
    made_by = features.manifest["made_by"]["shared"]
    assert made_by["stage"] == "import-features"
    assert made_by["inputs"]["file"] == import_features.provenance.checksum(Path(file))
    assert artifacts.backbone_names() == ["shared"]
    assert artifacts.load_history("shared").empty
    assert len(artifacts.load_pixels()) == 0


@pytest.mark.parametrize(
    ("change", "data", "message"),
    [
        (lambda of: of.drop(columns="label"), {"id": None}, r"features.csv: has no column 'label' \(data.label\)"),
        (lambda of: of.drop(columns="who"), {}, r"features.csv: has no column 'who' \(data.patient\)"),
        (lambda of: of.assign(id=["a", "b", "a"] * 60), {}, r"2 ids stand in several rows, the first in row 1\n"),
        (lambda of: of.assign(f3=np.nan), {}, r"180 of 180 rows hold NaN"),
        (lambda of: of.assign(label="x"), {}, r"all 180 images have the label 'x'"),
        (lambda of: of.assign(label=["x", "y", "z"] * 60), {"task": "binary"}, r"binary has two classes, .* have 3"),
        (lambda of: of.assign(split="who knows"), {"split": "split"}, r"180 rows have no split word"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_and_nothing_is_written(change, data, message):
    with pytest.raises(PipelineError, match=message):
        run(save(change(table()), "csv"), **data)
    assert not artifacts.INDEX.exists()
    assert not artifacts.FEATURES.exists()


def test_labels_of_another_number_than_the_features_are_refused():
    of = table()
    file = save(of, "npy")
    of.iloc[1:].to_csv("labels.csv", index=False)
    with pytest.raises(PipelineError, match=r"has 180 rows of features, but labels.csv has 179 rows of labels\n"):
        run(file)
    with pytest.raises(PipelineError, match=r"data.labels: folders of images have no labels for features"):
        run(file, labels="folders")


def test_labels_by_id_that_fit_no_row_or_stand_twice_are_refused():
    of = table()
    np.savez("f.npz", features=of[["f0", "f1"]].to_numpy(), ids=of["id"].to_numpy(str))
    of.assign(id="x" + of["id"]).to_csv("labels.csv", index=False)
    with pytest.raises(PipelineError, match=r"labels.csv: none of its ids \(data.id\) is one of the 180 of f.npz"):
        run("f.npz")
    pd.concat([of, of.iloc[:1]]).to_csv("labels.csv", index=False)
    with pytest.raises(
        PipelineError, match=r"labels.csv: 1 ids of column 'id' stand in several rows, the second in line 182"
    ):
        run("f.npz")


def test_pictures_that_were_rendered_are_not_overwritten():
    storage.save_json(artifacts.PIXELS / "manifest.json", {"made_by": {"stage": "pixels"}})
    with pytest.raises(PipelineError, match=r"artifacts/pixels: holds pictures, .*\n  Remedy: import in another copy"):
        run(save(table(), "npz"))
    assert not artifacts.INDEX.exists()


def test_the_command_takes_a_file(monkeypatch):
    seen = []
    monkeypatch.setattr(import_features, "run", lambda values, file: seen.append(file))
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert command.main(["import-features", "a.npz"]) == 0
    assert seen == ["a.npz"]

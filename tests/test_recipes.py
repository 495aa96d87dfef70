"""Every recipe on a small tree of files as its comment describes them, and any of them after any other."""

import copy
import itertools
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicoms import write
from imports import ROOT
from PIL import Image
from pydicom.uid import generate_uid

from pipeline import artifacts, params, storage
from pipeline.errors import PipelineError
from pipeline.experiments import presets
from pipeline.heads import named
from pipeline.stages import embed, evaluate, finetune, fit, index, pixels, split, use

RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml"))}
DEFAULT = presets.load(ROOT / "params.yaml")
SMALL = {
    "render": {"size": 32},
    "backbone": {"model": "resnet10t", "weights": "none"},
    "finetune": {"epochs": 1, "policy": "frozen"},
    "split": {"folds": 2},
    "grid": {"resamplers": ["none"], "heads": ["logistic"]},
    "evaluate": {"draws": 100},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")
    return tmp_path


def picture(path, mode="L"):
    """Noise that no other file has: equal files would be copies of each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (24, 20, 3) if mode == "RGB" else (24, 20)
    Image.fromarray(np.random.default_rng(zlib.crc32(str(path).encode())).integers(0, 256, shape, np.uint8)).save(path)


def breast_density():
    """40 patients with an exam each, four views; the grades as the CSV of the recipe has them."""
    root, rows = Path("data/breast_density"), []
    for exam in range(40):
        rows.append(f"{1000 + exam},{exam % 4 + 1}")
        for view, side in itertools.product(("CC", "MLO"), "LR"):
            values = np.random.default_rng([exam, ord(view[0]), ord(side)]).integers(0, 4096, (24, 20), np.uint16)
            tags = {"AccessionNumber": str(1000 + exam), "PatientID": f"P{exam}", "Manufacturer": "AB"[exam % 2]}
            tags |= {"ImageLaterality": side, "ViewPosition": view, "BitsStored": 12, "Modality": "MG"}
            write(root / f"images/{exam}/{generate_uid()}.dcm", values, StudyInstanceUID=f"1.2.{exam}", **tags)
    (root / "classificacao.csv").write_text("\n".join(["AccessionNumber,Classification", *rows]) + "\n")


def chest_xray_pneumonia():
    root = Path("data/chest_xray")
    for number in range(12):
        for folder in ("train", "test"):
            picture(root / f"{folder}/NORMAL/IM-{100 + number:04d}-0001.jpeg")
            picture(root / f"{folder}/PNEUMONIA/person{number}_bacteria_{number}.jpeg")
            picture(root / f"{folder}/PNEUMONIA/person{number}_virus_{number + 1}.jpeg")
    picture(root / "val/NORMAL/NORMAL2-IM-1427-0001.jpeg")
    picture(root / "val/PNEUMONIA/person1946_bacteria_4874.jpeg")
    (root / "train/.DS_Store").write_bytes(b"\0")


def breakhis():
    breast = Path("data/BreaKHis_v1/histology_slides/breast")
    kinds = {"benign": ("B", "A", "adenosis"), "malignant": ("M", "DC", "ductal_carcinoma")}
    for (label, (mark, kind, name)), case, zoom in itertools.product(kinds.items(), range(12), (40, 100, 200, 400)):
        for letters in ("AB", "CD")[: 1 + (case == 0)]:
            slide = f"14-{22000 + case + (label == 'malignant') * 100}{letters}"
            folder = breast / label / "SOB" / name / f"SOB_{mark}_{kind}_{slide}" / f"{zoom}X"
            picture(folder / f"SOB_{mark}_{kind}-{slide}-{zoom}-001.png", "RGB")


FINDINGS = params.check(presets.merged(DEFAULT, presets.load(RECIPES["nih_14"]))).data.classes or []


def nih():
    """The header of the published CSV parts two columns by the comma in their names."""
    root = Path("data/nih")
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    rows = [header + "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"]
    for patient in range(1, 91):
        for follow_up in range(2):
            name = f"{patient:08d}_{follow_up:03d}.png"
            found = FINDINGS[patient % 14] + "|Mass" * (patient % 5 == 0 and patient % 14 != 9)
            found = "No Finding" if patient % 3 == 0 and patient % 14 not in (7, 13) else found
            rows.append(f"{name},{found},{follow_up},{patient},0{patient}Y,{'FM'[patient % 2]},PA,2682,2749,0.1,0.1,")
            picture(root / f"images_{patient % 12 + 1:03d}/images/{name}")
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")


TREES = {
    "breast_density": breast_density,
    "chest_xray_pneumonia": chest_xray_pneumonia,
    "breakhis": breakhis,
    **dict.fromkeys(("nih_pneumothorax", "nih_hernia", "nih_14"), nih),
}


def resolved(recipe, **changes):
    values = presets.merged(presets.merged(DEFAULT, presets.load(RECIPES[recipe])), {"engine": {"workers": 1}})
    made = params.check(presets.merged(values, changes))
    named.check(made)
    return made


def indexed(recipe, **changes):
    """Index and splits of the tree of a recipe."""
    TREES[recipe]()
    given = resolved(recipe, **changes)
    index.run(given)
    split.run(given)
    return artifacts.load_index(), artifacts.load_splits()


def test_every_recipe_has_a_tree_and_a_comment_that_names_its_folders():
    assert set(TREES) == set(RECIPES)
    for name, path in RECIPES.items():
        head = path.read_text().split("\ndata:")[0]
        assert all(line.startswith("#") for line in head.splitlines())
        assert resolved(name).data.images in head.replace("BreaKHis_v1/histology", "BreaKHis_v1 /histology")
        assert f"python -m pipeline use {name} " in head


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(RECIPES, 2)])
def test_nothing_of_a_recipe_is_left_when_another_is_used(first, second):
    before = presets.merged(DEFAULT, presets.load(RECIPES[first]))
    assert presets.merged(before, presets.load(RECIPES[second])) == presets.merged(
        DEFAULT, presets.load(RECIPES[second])
    )


def test_breast_density_gives_every_view_the_grade_of_its_exam():
    table, splits = indexed("breast_density")
    assert len(table) == 160
    assert table.groupby("exam")["label"].nunique().tolist() == [1] * 40
    assert table["label"].value_counts().to_dict() == dict.fromkeys("1234", 40)
    assert table["group"].nunique() == 40
    assert splits["fold"].nunique() == 5


def test_pneumonia_groups_children_and_deals_them_anew():
    table, splits = indexed("chest_xray_pneumonia")
    assert len(table) == 74
    assert (table["split"] == "").all()
    groups = table.groupby("group")["path"].agg(list)
    person = next(of for of in groups if "train/PNEUMONIA/person3_virus_4.jpeg" in of)
    assert len(person) == 4, "bacteria and virus, train and test"
    assert table["group"].nunique() == 12 + 12 + 2
    assert splits["fold"].nunique() == 5


def test_the_published_test_folder_of_pneumonia_can_be_kept_as_the_comment_says():
    lines = RECIPES["chest_xray_pneumonia"].read_text().splitlines()
    pattern = next(line for line in lines if line.startswith("#   pattern: ")).removeprefix("#   ")
    changes = presets.settings(["data.pattern=" + pattern.removeprefix("pattern: "), "split.honour=true"])
    table, splits = indexed("chest_xray_pneumonia", **changes)
    assert table["split"].value_counts().to_dict() == {"train": 36, "test": 36}
    assert set(splits["role"]) == {"train", "val", "test"}
    roles = splits.merge(table, on="image_id")
    assert (roles.loc[roles["role"] == "test", "split"] == "test").all()
    assert set(artifacts.load_quarantine()["reason"]) == {"path does not match data.pattern"}


def test_breakhis_takes_slides_of_one_case_for_one_patient_and_keeps_the_magnification():
    table, _ = indexed("breakhis")
    assert len(table) == 2 * 13 * 4
    assert table["group"].nunique() == 24
    assert table["attribute_magnification"].value_counts().to_dict() == dict.fromkeys(
        ("40X", "100X", "200X", "400X"), 26
    )
    assert table.groupby("label")["attribute_type"].unique().map(list).to_dict() == {
        "benign": ["A"],
        "malignant": ["DC"],
    }


def test_breakhis_of_one_magnification():
    pattern = resolved("breakhis").data.pattern.replace(r"\d+X", "200X")
    table, _ = indexed("breakhis", data={"pattern": pattern})
    assert set(table["attribute_magnification"]) == {"200X"}
    assert len(artifacts.load_quarantine()) == 2 * 13 * 3


@pytest.mark.parametrize("finding", ["Pneumothorax", "Hernia"])
def test_one_finding_of_nih_is_told_from_all_others(finding):
    table, _ = indexed(f"nih_{finding.lower()}")
    labels = pd.read_csv("data/nih/Data_Entry_2017.csv", index_col=False).set_index("Image Index")["Finding Labels"]
    has = labels.str.split("|").map(lambda found: finding in found)
    assert table["path"].map(lambda path: has[Path(path).name]).tolist() == (table["label"] == finding).tolist()
    assert 0 < has.sum() < 20
    assert set(table["label"]) == {"other", finding}
    assert table["group"].nunique() == 90
    assert set(table["attribute_Patient Gender"]) == {"F", "M"}


def test_all_findings_of_nih_are_columns_and_roles_share_no_patient():
    table, splits = indexed("nih_14")
    assert artifacts.label_columns(table) == [f"label_{name}" for name in FINDINGS]
    assert len(FINDINGS) == 14
    assert table["label_Mass"].sum() > table["label_Hernia"].sum()
    assert splits.merge(table, on="image_id").groupby("group")["role"].nunique().max() == 1
    assert artifacts.load_quarantine().empty


def test_a_recipe_goes_all_the_way_with_a_small_random_network():
    breast_density()
    given = resolved("breast_density", **SMALL)
    for stage in (index, split, pixels, finetune, embed):
        stage.run(given)
    fit.run(given, "none-logistic")
    evaluate.run(given)
    metrics = storage.load_json(artifacts.METRICS, "evaluate")
    assert metrics["selected"].startswith("none-logistic")
    judged = pd.read_csv(artifacts.EVALUATION / "per_class.csv", dtype={"class": str})
    judged = judged[judged["arm"] == "none-logistic"].set_index("class")
    assert judged["n"].to_dict() == dict.fromkeys("1234", 10), "exams, not views"
    groups = pd.read_csv(artifacts.EVALUATION / "groups.csv")
    assert set(groups["view"]) == {"density"}


def test_use_says_what_changed_and_writes_nothing_else(here, capsys):
    text = (ROOT / "params.yaml").read_text()
    (here / "params.yaml").write_text(text)
    use.run(params.load(), "nih_hernia", ["data.images=/nih", "split.seed=7"])
    printed = capsys.readouterr().out
    assert "data.images" in printed
    assert "/nih" in printed
    assert "data.labels: data/nih/Data_Entry_2017.csv is not there" in printed
    assert params.load() == resolved_with(presets.settings(["data.images=/nih", "split.seed=7"]))
    old, new = text.splitlines(), (here / "params.yaml").read_text().splitlines()
    assert len(old) == len(new)
    for was, now in zip(old, new, strict=True):
        assert was.partition("#")[2] == now.partition("#")[2], "a comment is lost"
    use.run(params.load(), "nih_hernia", ["data.images=/nih", "split.seed=7"])
    assert "has all values of" in capsys.readouterr().out


def resolved_with(settings):
    values = presets.merged(presets.merged(DEFAULT, presets.load(RECIPES["nih_hernia"])), settings)
    return params.check(values)


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (
            "nothing",
            [],
            "nothing: is no file and no recipe\n  Remedy: give the path of a preset, or one of breakhis, brea",
        ),
        (
            "bad.yaml",
            [],
            r"bad.yaml: 2 faults:\n  - split.folds: .*\n  - finetune.epoch: unknown key; did you mean epochs",
        ),
        ("list.yaml", [], "list.yaml: holds no sections"),
        ("breakhis", ["split.folds"], "split.folds: is no KEY=VALUE"),
        ("breakhis", ["grid.heads=[logistics]"], "did you mean logistic"),
    ],
)
def test_a_faulty_preset_changes_nothing_and_says_why(here, recipe, settings, message):
    text = (ROOT / "params.yaml").read_text()
    (here / "params.yaml").write_text(text)
    Path("bad.yaml").write_text("finetune: {epoch: 3}\nsplit: {folds: 0}\n")
    Path("list.yaml").write_text("- 1\n")
    with pytest.raises(PipelineError, match=message):
        use.run(params.load(), recipe, settings)
    assert (here / "params.yaml").read_text() == text


def test_a_default_is_not_altered_by_merging():
    before = copy.deepcopy(DEFAULT)
    presets.merged(DEFAULT, {"finetune": {"augment": {"flip": False}}, "heads": {"logistic": {"C": 1}}})
    assert before == DEFAULT

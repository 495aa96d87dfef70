"""Images of several labels, from their features to the report."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, params, storage
from pipeline.stages import evaluate, fit, report, results
from tests.report import synthetic
from tests.stages import labelled

WHOLE = params.load(Path(__file__).parents[2] / "params.yaml")
PARAMS = dataclasses.replace(
    WHOLE,
    data=dataclasses.replace(WHOLE.data, task="multilabel"),
    grid=params.Grid(resamplers=["none", "smote"], heads=["logistic"], arms=[]),
    evaluate=dataclasses.replace(WHOLE.evaluate, draws=50),
    engine=dataclasses.replace(WHOLE.engine, workers=1),
)


def history(fold: int) -> pd.DataFrame:
    """As finetune writes it; Hernia is not found at first; the fifth epoch is kept, in fold 1 a collapsed one."""
    table = synthetic._history(labelled.LABELS, 6, np.random.default_rng(fold))
    return table.assign(
        recall_Hernia=np.arange(6) / 5, collapse=["kappa" if epoch == (4 if fold else 0) else "" for epoch in range(6)]
    )


def without_pictures() -> None:
    """What stands in place of pictures where features were imported."""
    rows = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in artifacts.PIXEL_ROWS.items()})
    artifacts.save_pixels(rows, (0, 0), np.dtype("uint8"), {}, {"packages": {}}, [])


def through(imported: bool) -> str:
    """The page of two arms on features of three labels."""
    index = labelled.write()
    if imported:
        without_pictures()
    else:
        synthetic.save_pixels(index)
        for fold in range(labelled.FOLDS):
            artifacts.save_backbone(f"fold-{fold}", b"", history(fold), {"packages": {}})
    storage.save_json(artifacts.AUDIT, {"checks": synthetic._checks({})})
    for arm in ("none-logistic", "smote-logistic"):
        fit.run(PARAMS, arm)
    evaluate.run(PARAMS)
    report.run(PARAMS)
    return artifacts.REPORT.read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[str, Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("trained")
        patch.chdir(folder)
        return through(imported=False), folder


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def cells(html: str) -> list[str]:
    """Text of the cells of the first table."""
    table = html.partition("<tbody>")[2].partition("</tbody>")[0]
    found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table, re.DOTALL)
    return [re.sub(r"<[^>]*>", " ", cell).split()[0] for cell in found if re.sub(r"<[^>]*>", "", cell).strip()]


def test_the_first_screen_tells_figures_and_the_rarest_label(trained):
    html, folder = trained
    head = re.sub("<[^>]*>", "", html.partition("</header>")[0])
    figures = json.loads((folder / artifacts.METRICS).read_text())["arms"]["smote-logistic"]["test"]
    assert "smote-logistic was selected on validation" in head
    assert f"(2 folds, pooled): macro-F1 {figures['macro_f1']:.2f} (" in head
    assert ", kappa " in head
    assert "quadratic" not in html.partition('<section id="provenance">')[0]
    assert "The rarest label Hernia (" in head
    assert "none-logistic finds 0 of" in head
    assert "training: the epoch that was kept of fold-1 has signs of collapse" in head


def test_the_data_are_counted_per_label_with_what_is_not_known(trained):
    html, folder = trained
    index = pd.read_parquet(folder / artifacts.INDEX)
    shown = cells(section(html, "data"))
    for number, name in enumerate(labelled.LABELS):
        marks = index[f"label_{name}"]
        row = shown[6 * number : 6 * number + 6]  # name, images, patients, share, ratio, not known
        assert row[:2] == [name, str((marks == 1).sum())]
        assert row[-1] == str((marks == -1).sum())
    none = (index["label"] == artifacts.NO_FINDING).sum()
    assert f"An image may have several labels, {none} have none" in section(html, "data")


def test_the_2_by_2_tables_are_those_of_the_evaluation(trained):
    html, folder = trained
    counts = json.loads((folder / artifacts.EVALUATION / "confusion.json").read_text())["smote-logistic"]
    shown = cells(section(html, "classes"))
    for number, (name, ((right, alarm), (missed, found))) in enumerate(zip(labelled.LABELS, counts, strict=True)):
        total = right + alarm + missed + found
        assert shown[6 * number : 6 * number + 6] == [name, *map(str, (found, missed, alarm, right, total))]
    assert "Confusion matrix" not in html


def test_training_shows_recall_of_each_label_and_every_epoch(trained):
    html, _ = trained
    training = section(html, "training")
    assert training.count('aria-label="Recall of each label on validation, by epoch"') == 2
    assert "the rarest label is Hernia" in training
    assert "Epoch by epoch; 2 with signs of collapse" in training
    assert training.count("4,900,000") == 12
    assert "share of predictions" not in training


def test_pictures_name_the_other_labels_of_an_image(trained):
    html, _ = trained
    pictures = section(html, "pictures")
    assert "up to 6 of each label" in pictures
    assert re.search(r"<figcaption>with (Mass|Nodule)", pictures)


def test_words_fit_labels(trained):
    html, _ = trained
    assert "Labels, as smote-logistic sees them" in html
    assert "Having each label against not having it, on test, the rarest first." in html
    assert not re.search(r"\bnan\b|rarest class|each class", html)


def test_patients_judged_as_one_are_counted_by_what_any_of_their_images_has(trained, tmp_path, monkeypatch):
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    how = dataclasses.replace(PARAMS.evaluate, unit="patient", pool="max", subgroups=["manufacturer"])
    whole = dataclasses.replace(PARAMS, evaluate=how)
    evaluate.run(whole)
    report.run(whole)
    table = pd.read_csv(artifacts.EVALUATION / "per_class.csv").set_index(["arm", "class"])
    patients = table.loc[("none-logistic", "Hernia"), "patients"]
    assert f"The rarest label Hernia ({patients} test patients): " in artifacts.REPORT.read_text()
    assert section(artifacts.REPORT.read_text(), "groups").count(">Patients</th>") == 1
    assert "from the images of one patient: Mass, Nodule, Hernia" in section(artifacts.REPORT.read_text(), "card")


def test_the_printed_results_call_kappa_by_its_name(trained, capsys, monkeypatch):
    monkeypatch.chdir(trained[1])
    results.run(PARAMS)
    printed = capsys.readouterr().out
    assert "quadratic" not in printed
    assert re.search(r"^none-logistic: .*never_predicted Hernia", printed, re.MULTILINE)


def test_imported_features_have_a_report_without_pictures_and_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    html = through(imported=True)
    assert "There are no pictures: the features were computed elsewhere and imported." in section(html, "pictures")
    assert "No backbone was trained here: the features were imported." in section(html, "training")
    assert "bits stored" not in section(html, "data")
    assert "The rarest label Hernia" in html

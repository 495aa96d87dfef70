import logging
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import artifacts, params, storage
from pipeline.errors import PipelineError
from pipeline.report.sections import curves
from pipeline.stages import report
from tests.report import synthetic

PARAMS = params.load(Path(__file__).parents[2] / "params.yaml")
SMALL = {"folds": 1, "frozen": True, "arms": ("none-logistic", "smote-logistic", "none-mlp")}
VALUES = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")
RED = re.compile(r'<li class="bad">(.*?)</li>')


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def page(**settings) -> str:
    synthetic.write(**settings)
    report.run(PARAMS)
    return artifacts.REPORT.read_text()


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> str:
    """The page of 4 classes, 3 folds and 9 arms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("usual"))
        return page()


class Outline(HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would load or run, and all ids."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.loads += [given[name] for name in ("src", "href", "xlink:href", "data", "srcset") if given.get(name)]
        self.ids += [given["id"]] if "id" in given else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"classes": ("normal", "PNEUMONIA"), "folds": 1, "arms": ("none-logistic", "smote-logistic")},
        {"classes": synthetic.BLOOD, "folds": 1, "frozen": True},
        {"folds": 5},
        {"classes": ("Mass", "Nodule", "Hernia"), "folds": 2, "several": True},
    ],
    ids=["4 classes, 3 folds", "2 classes, 1 fold, 2 arms", "13 classes, frozen", "5 folds", "3 labels"],
)
def test_the_page_is_whole_and_opens_offline(settings):
    html = page(**settings)
    outline = Outline(html)
    assert outline.open == []
    assert [target for target in outline.loads if not target.startswith(("#", "data:image/webp;"))] == ["audit.html"]
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert len(html) < 700_000
    assert len(outline.ids) == len(set(outline.ids))
    missing = {target[1:] for target in outline.loads if target.startswith("#")} - set(outline.ids)
    assert not missing
    for name in settings.get("classes", synthetic.FOUR):
        assert f'<th class="wrap">{name}</th>' in html


def test_the_first_screen_says_who_won_by_how_much_and_what_of_the_rare_class(usual):
    head = re.sub("</?span[^>]*>", "", usual.partition("</header>")[0])
    assert "smote-logistic was selected on validation, and has a better macro-F1 on test than the baseline" in head
    # 385 images of 193 patients are in the index; 5 of class A, with 2 patients of their own, were not tested.
    assert (
        "On 380 test images of 191 patients (3 folds, pooled): macro-F1 0.61 (0.55–0.67), quadratic kappa 0.63 "
        "(0.57–0.69), adjusted balanced accuracy 0.67 (0.61–0.73)."
    ) in head
    assert "Means over 4 classes count each alike, A with 25 test images as D with 180 test images." in head
    assert "Against the baseline none-logistic: macro-F1 +0.12 (+0.05 to +0.19, p = 0.012): better." in head
    assert "Over 3 folds its macro-F1 is better with a probability of 80 %, practically the same" in head
    assert "Few test patients: A (13)." in head
    assert (
        "The rarest class A (20 test images, 13 patients, 25 predictions): "
        "smote-logistic finds 14 of 25, recall 0.56 (0.46–0.76), and predicts it 32 times, precision 0.40; "
        "the baseline none-logistic finds 3 of 25, recall 0.12 (0.02–0.32), and predicts it 32 times, precision 0.40."
    ) in head


def test_classes_without_an_order_have_a_plain_kappa():
    synthetic.write(classes=synthetic.BLOOD, folds=1, frozen=True, arms=SMALL["arms"])
    report.run(params.check({**VALUES, "evaluate": {**VALUES["evaluate"], "kappa": "none"}}))
    html = artifacts.REPORT.read_text()
    head = html.partition("</header>")[0]
    assert "macro-F1 0.61 (0.55–0.67), kappa 0.63 (0.57–0.69)" in head
    assert "The rarest class normal cell (20 test images" in head
    assert "none kappa" not in html
    assert "quadratic" not in html


def test_the_quarantine_counts_reasons_without_their_details(usual):
    table = usual.partition('<section id="quarantine">')[2].partition("<details>")[0]
    assert re.findall(r'<td class="wrap">(.*?)</td>', table) == [
        *("truncated", "<code>p/0.dcm</code>", "export it again"),
        *("has no pixels", "<code>/hospital/Doe^Jane/images/x.dcm</code>", "drop its row"),
    ]


def test_pictures_of_every_class_are_shown_with_what_made_them(usual):
    section = usual.partition('<section id="pictures">')[2].partition("</section>")[0]
    assert "Pictures from the store, 32 × 32 pixels, up to 6 of each class, of different patients" in section
    assert "All of these: 640 × 512." in section
    assert re.findall(r'alt="picture of class (.)"', section) == [name for name in "ABCD" for _ in range(6)]
    assert re.findall(r"<figcaption>.* · MONOCHROME[12] · 40[012] / 800 LINEAR</figcaption>", section)


@pytest.mark.parametrize(("shape", "kind"), [((32, 32, 3), "uint8"), ((32, 32), "uint16")])
def test_pictures_in_colour_and_of_16_bits_are_shown(shape, kind):
    synthetic.write(**SMALL)
    synthetic.save_pixels(artifacts.load_index(), shape, kind)
    report.run(PARAMS)
    assert artifacts.REPORT.read_text().count("data:image/webp;base64,") == 24 + 10  # samples and cases


def test_a_damaged_picture_store_is_refused_with_the_command_that_rebuilds_it():
    synthetic.write(**SMALL)
    with (artifacts.PIXELS / "00000.npy").open("ab") as file:
        file.write(b"more")
    with pytest.raises(PipelineError, match=r"00000\.npy: its content is not what .*\n.* `dvc repro pixels`"):
        report.run(PARAMS)


def test_what_the_headers_warn_of_stands_with_the_data_and_in_short_on_the_first_screen():
    synthetic.write(**SMALL)
    index = artifacts.load_index()
    index["manufacturer"] = "Halcyon"
    index.loc[:2, "burned_in"] = "YES"
    artifacts.save_index(index)
    report.run(PARAMS)
    head, _, rest = artifacts.REPORT.read_text().partition("</header>")
    short = "headers: burned-in annotation (3 images); what that means stands under Data"
    assert f'<li class="look">{short}</li>' in head
    data = rest.partition("</section>")[0]
    assert re.findall(r'<li class="look">(.*?)</li>', data) == [
        "3 of 385 images have text burned into the pixels: it may name the patient, and a model may read it"
    ]


def test_headers_with_nothing_to_warn_of_are_not_mentioned(usual):
    assert "headers:" not in usual
    assert '<ul class="notes">' not in usual.partition('<section id="data">')[2].partition("</section>")[0]


def test_images_without_a_picture_are_counted_beside_the_data():
    synthetic.write(**SMALL)
    artifacts.save_quarantine("pixels", [{"path": "p/9.dcm", "reason": "blank", "remedy": "drop its row"}])
    report.run(PARAMS)
    assert "For 1 of them no picture could be made" in artifacts.REPORT.read_text()


def test_what_is_said_of_drift_is_what_the_split_measures(usual):
    assert "from its share in all images, in percent of the latter" in usual
    assert "share in training" not in usual


def test_collapse_of_the_selected_arm_stands_in_red_on_the_first_screen():
    sign = {"clause": "never_predicted", "value": 0, "threshold": 1, "operating_point": "argmax", "class": "A"}
    head, _, rest = page(**SMALL, collapse={"smote-logistic": [sign], "none-mlp": [sign]}).partition("</header>")
    assert RED.findall(head) == ["smote-logistic shows a sign of collapse: A is never predicted"]
    assert '<li class="bad"><strong>smote-logistic</strong>: A is never predicted' in rest
    assert '<li class="quiet"><strong>none-mlp</strong>: A is never predicted' in rest


def test_a_sound_run_has_no_red_on_the_first_screen(usual):
    assert RED.findall(usual) == []


def test_audit_verdicts_that_are_not_ok_and_the_quarantine_stand_on_the_first_screen():
    head = page(**SMALL, verdicts={"shared_patients": "invalid", "dead_dimensions": "look"}).partition("</header>")[0]
    assert RED.findall(head) == ["audit, shared_patients (invalid): no patient is in two roles of a fold"]
    assert '<li class="look">audit, dead_dimensions (look): 10 of 512 dimensions are constant</li>' in head
    assert '<li class="look">6 files or label rows in quarantine, left out</li>' in head


def test_the_audit_table_shows_rounded_figures_and_a_dash_for_no_threshold(usual):
    table = usual.partition('<section id="audit">')[2]
    assert re.findall(r'<td class="num">(.*?)</td>', table) == ["1000", "1000", "0.01953", "0.5", "0", "–"]


def test_a_selected_baseline_is_compared_with_the_next_arm():
    head = page(**SMALL, selected="none-logistic").partition("</header>")[0]
    assert "The baseline none-logistic itself was selected on validation: no other arm ranked above it." in head
    assert "Against the next on validation, smote-logistic: macro-F1 +0.13 (+0.06 to +0.20, p = 0.012): better." in head


def test_a_single_arm_has_a_page():
    html = page(**{**SMALL, "arms": ("smote-mlp",)}, selected="smote-mlp")
    assert "smote-mlp is the only arm." in html
    assert "There is no other arm to compare with." in html


def test_names_with_html_characters_are_escaped():
    html = page(classes=("<script>alert(1)</script>", "b & c"), **SMALL)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "b &amp; c" in html
    assert Outline(html).open == []


def test_a_class_called_na_keeps_its_name():
    assert "The rarest class NA (20 test images" in page(classes=("NA", "None"), **SMALL)


def test_a_frozen_backbone_has_no_history():
    html = page(**SMALL)
    assert "The backbone is frozen" in html
    assert "What the network predicts" not in html


def test_training_history_has_a_panel_per_fold_and_its_collapses(usual):
    section = usual.partition('<section id="training">')[2].partition("</section>")[0]
    assert re.findall(r"<figcaption>(.*?)<", section) == ["fold-0", "fold-1", "fold-2"]
    assert "3 backbones, 96 s of training" in usual
    assert "A is never predicted; low kappa" in usual


def test_paths_in_the_quarantine_are_below_the_image_folder():
    synthetic.write(**SMALL)
    reader = params.check({**VALUES, "data": {**VALUES["data"], "images": "/hospital/Doe^Jane/images"}})
    report.run(reader)
    html = artifacts.REPORT.read_text()
    assert "<code>x.dcm</code>" in html
    assert "Doe^Jane" not in html


def test_figures_that_are_not_defined_show_as_a_dash():
    synthetic.write(**SMALL)
    metrics = storage.load_json(artifacts.METRICS, "evaluate")
    for key in ("auc", "auc_low", "auc_high", "kappa", "kappa_low", "kappa_high"):
        metrics["arms"]["smote-logistic"]["test"][key] = float("nan")
    metrics["arms"]["none-mlp"]["val"]["kappa"] = float("nan")
    storage.save_json(artifacts.METRICS, metrics)
    per_class = pd.read_csv(artifacts.EVALUATION / "per_class.csv")
    per_class[["precision", "recall_low", "recall_high"]] = float("nan")
    per_class.to_csv(artifacts.EVALUATION / "per_class.csv", index=False)
    report.run(PARAMS)
    html = artifacts.REPORT.read_text()
    assert "quadratic kappa –, adjusted balanced accuracy 0.67" in html
    assert "recall 0.56, and predicts it 32 times; the baseline none-logistic" in html
    assert not re.search(r"\bnan\b", html)


def test_the_same_artifacts_give_the_same_page():
    first = page()
    report.run(PARAMS)
    assert artifacts.REPORT.read_text() == first


def test_the_stage_ends_by_saying_who_won_and_where_the_page_lies(caplog):
    with caplog.at_level(logging.INFO, logger="pipeline.stages.report"):
        page(**SMALL)
    assert caplog.messages == [
        "selected on validation: smote-logistic, test macro-F1 0.61 (0.55–0.67)\n"
        "Report: artifacts/report.html\n"
        "All arms: python -m pipeline results"
    ]


def test_a_missing_evaluation_names_the_stage_to_run():
    synthetic.write(**SMALL)
    for path in (artifacts.EVALUATION / "roc.csv", artifacts.METRICS):
        path.unlink()
        with pytest.raises(PipelineError, match=rf"{path.name}: is missing\n  Remedy: run `dvc repro evaluate`"):
            report.run(PARAMS)


def test_a_class_without_a_test_image_is_named_on_the_first_screen():
    synthetic.write(**SMALL)
    path = artifacts.EVALUATION / "per_class.csv"
    table = pd.read_csv(path)
    untested = table["class"] == "A"
    table.loc[untested, ["n", "patients", "predicted"]] = 0
    table.loc[untested, ["recall", "recall_low", "recall_high", "precision", "f1", "f1_low", "f1_high"]] = np.nan
    table.to_csv(path, index=False)
    report.run(PARAMS)
    head = artifacts.REPORT.read_text().partition("</header>")[0]
    assert '<li class="look">no test image of class A: nothing is known of it</li>' in head
    assert "The rarest class A" not in head


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_without_the_gallery_no_picture_and_no_image_id_is_on_the_page():
    synthetic.write(**SMALL)
    closed = params.check({**VALUES, "report": {**VALUES["report"], "gallery": False}})
    report.run(closed)
    html = artifacts.REPORT.read_text()
    ids, quarantine = artifacts.load_index()["image_id"], artifacts.load_quarantine()
    assert "data:image" not in html
    assert not [name for name in (*ids, *quarantine["path"]) if name in html]
    assert "truncated" in section(html, "quarantine")
    for name in ("pictures", "cases"):
        assert "switched off for privacy (<code>report.gallery: false</code>)" in section(html, name)
    assert "This page shows no picture of a patient and no image id." in section(html, "card")


def test_with_repeated_splits_predictions_are_not_called_images():
    synthetic.write(**SMALL)
    path = artifacts.EVALUATION / "predictions.csv"
    table = pd.read_csv(path)
    pd.concat([table, table]).to_csv(path, index=False)
    report.run(PARAMS)
    html = artifacts.REPORT.read_text()
    assert "<figcaption>Test predictions</figcaption>" in section(html, "classes")
    assert '<th class="num">Predictions</th><th class="num">Patients</th>' in section(html, "classes")
    assert re.search(r"Test predictions: A \d+ of", section(html, "card"))
    assert re.search(r"A with \d+ test predictions as", html.partition("</header>")[0])
    assert re.search(r"On [\d,]+ test images of", html.partition("</header>")[0])


def test_the_gallery_shows_errors_and_doubts_with_their_probabilities_and_ids(usual):
    shown = section(usual, "cases")
    assert re.findall("<h3>(.*?)</h3>", shown) == ["The worst errors", "The least certain"]
    assert shown.count("<img") == 10
    assert '<b>A</b> 3.0 %, taken for <b class="bad">D</b> 90 %' in shown
    assert '<b class="ok">A</b>, rightly, 41 %' in shown
    assert "<code>1.2.00005</code>" in shown


def test_the_forest_plot_has_a_row_per_arm_with_its_verdict(usual):
    forest = section(usual, "comparison").partition("</table>")[0]
    rows = re.findall(r"<tr[^>]*><th>([\w-]+)</th>.*?(?:</tr>|chip (\w*)\">([^<]*))", forest, re.DOTALL)
    assert len(rows) == 9
    assert ("smote-logistic", "ok", "better") in rows
    assert forest.count('class="rope"') == 9
    assert '<svg class="row ok"' in forest


def test_ranks_join_what_is_not_told_apart_and_are_absent_with_few_folds(usual):
    ranks = section(usual, "comparison")
    assert "Ranks over 3 folds" in ranks
    assert "p = 0.030; critical difference 5.20" in ranks
    assert ranks.count('title="one of group 1"') == 2
    assert "Ranks over" not in page(**SMALL)


def test_every_class_has_its_four_curves_the_rarest_first():
    curves = section(page(classes=synthetic.BLOOD, folds=1, frozen=True, arms=SMALL["arms"]), "curves")
    first, _, folded = curves.partition("<details>")
    names = re.findall(r"</span>\s*([^<]+)</h3>", curves)
    assert names[:4] == list(synthetic.BLOOD[:4])
    assert sorted(names) == sorted(synthetic.BLOOD)
    assert (first.count("<figure>"), folded.count("<figure>")) == (16, 36)
    assert "AUC 0.90 (0.85\N{EN DASH}0.95)" in first
    assert "slope 0.80" in first


def test_of_very_many_classes_only_the_rarest_are_drawn(monkeypatch):
    monkeypatch.setattr(curves, "SHOWN", 1)
    monkeypatch.setattr(curves, "DRAWN", 3)
    shown = section(page(**SMALL), "curves")
    assert re.findall(r"</span>(\w+)</h3>", shown) == ["A", "B", "C"]
    assert "The next 2 classes" in shown
    assert "Points of the curves of 1 more are in <code>evaluation/</code>." in shown


def test_the_calibration_is_that_of_the_arm_where_its_decision_only_moves_a_threshold():
    synthetic.write(**SMALL)
    path = artifacts.EVALUATION / "calibration.csv"
    table = pd.read_csv(path)
    arms = pd.read_csv(artifacts.EVALUATION / "arms.csv", keep_default_na=False)
    arms.loc[arms["arm"] == "smote-logistic", "of"] = "none-logistic"
    arms.to_csv(artifacts.EVALUATION / "arms.csv", index=False)
    table = table[table["arm"] != "smote-logistic"].assign(slope=0.77)
    table.to_csv(path, index=False)
    report.run(PARAMS)
    assert section(artifacts.REPORT.read_text(), "curves").count("slope 0.77") == 4


def test_parts_with_few_patients_are_listed_without_figures(usual):
    rows = section(usual, "groups").partition("by manufacturer")[2]
    cells = re.findall(r'<th class="wrap">(\w+)</th>.*?</tr>', rows, re.DOTALL)
    assert cells == ["Petrel", "Umbra"]
    umbra = rows.partition(">Umbra<")[2]
    assert re.findall(r'data-value="([\d.]*)"', umbra) == ["4", "2", "0", "", "", ""]
    assert "nan" not in umbra


def test_a_run_without_views_and_parts_has_no_section_of_them():
    synthetic.write(**SMALL)
    for name in ("groups", "subgroups"):
        path = artifacts.EVALUATION / f"{name}.csv"
        pd.read_csv(path).head(0).to_csv(path, index=False)
    report.run(PARAMS)
    html = artifacts.REPORT.read_text()
    assert 'id="groups"' not in html
    assert "Not looked at: evaluate.subgroups names no column" in section(html, "card")


def test_a_damaged_evaluation_is_not_tolerated():
    synthetic.write(**SMALL)
    (artifacts.EVALUATION / "calibration.csv").unlink()
    with pytest.raises(PipelineError, match=r"calibration\.csv: is missing\n  Remedy: run `dvc repro evaluate`"):
        report.run(PARAMS)


def test_seconds_are_shown_where_they_are_known_with_the_fits_together(usual):
    assert "<h3>Seconds</h3>" not in usual
    synthetic.write(**SMALL)
    for stage, seconds in {"index": 1.25, "fit none-mlp": 2.0, "fit smote-mlp": 3.5}.items():
        artifacts.note_seconds(stage, seconds)
    report.run(PARAMS)
    made = section(artifacts.REPORT.read_text(), "provenance")
    assert re.findall(r'<th class="num">(.*?)</th>', made) == ["index", "fit (2 arms)"]
    assert re.findall(r'<td class="num">(.*?)</td>', made) == ["1.2", "5.5"]


def test_checklists_answer_what_the_run_knows_and_leave_the_rest_to_the_authors(usual):
    lists = section(usual, "checklists")
    for guideline, table in zip(("CLAIM, 2024 update", "TRIPOD+AI, 2024"), lists.split("<details>")[1:], strict=True):
        open_ = table.count('<tr class="quiet">')
        assert f"{guideline}: {table.count('<tr>') - 1} answered" in table
        assert open_ == table.count("for the authors to state") >= 7
    row = re.search(r"<tr><th>13</th><td class=.wrap.>class imbalance and recalibration</td>(.*?)</tr>", lists)
    assert row
    assert "Training rows, and only these, by smote;" in row[1]
    assert '<td class="wrap">for the authors to state</td>' in lists


def test_the_model_card_has_its_nine_headings(usual):
    assert re.findall("<dt>(.*?)</dt>", section(usual, "card")) == [
        *("Model", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Results"),
        *("Ethical considerations", "Limits"),
    ]


def test_images_that_are_each_a_patient_of_their_own_are_told_of():
    synthetic.write(**SMALL)
    index = artifacts.load_index()
    index["group"] = index["image_id"]
    artifacts.save_index(index)
    report.run(PARAMS)
    head = artifacts.REPORT.read_text().partition("</header>")[0]
    assert '<li class="look">every image is taken for a patient of its own' in head


def test_the_page_lists_every_template_that_it_is_made_of_as_a_dependency():
    root = Path(__file__).parents[2]
    stages = YAML(typ="safe").load(root / "dvc.yaml")["stages"]
    own = {
        path.relative_to(root).as_posix()
        for path in (root / "pipeline/report").glob("**/*.j2")
        if "audit" not in path.relative_to(root).as_posix()
    }
    assert {dep for dep in stages["report"]["deps"] if dep.endswith(".j2")} == own

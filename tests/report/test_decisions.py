import dataclasses
import re

import pandas as pd
import pytest

from pipeline import artifacts, storage
from pipeline.report import decisions
from pipeline.stages import report
from tests.report import synthetic
from tests.stages.test_report import PARAMS, RED

ARMS = pd.DataFrame(
    {
        "arm": ["smote-mlp", "none-mlp+tilt", "smote-mlp+prior", "none-mlp", "none-mlp+thresholds"],
        "selected": ["True", *["False"] * 4],
        "baseline": "none-mlp",
        "of": ["smote-mlp", "none-mlp", "smote-mlp", "none-mlp", "none-mlp"],
        "decision": ["", "tilt", "prior", "", "thresholds"],
        "leading": ["True", "True", "False", "True", "False"],
    }
)
METRICS = {
    "selected": "smote-mlp",
    "arms": {
        name: {"val": {}, "test": {"macro_f1": number / 10}}
        for number, name in enumerate(
            ["none-mlp", "none-mlp+thresholds", "none-mlp+tilt", "smote-mlp", "smote-mlp+prior"]
        )
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def page(**settings) -> str:
    synthetic.write(folds=1, frozen=True, **settings)
    report.run(PARAMS)
    return artifacts.REPORT.read_text()


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_an_arm_is_shown_with_the_best_of_the_decisions_that_stand_above_it():
    assert decisions.leading(ARMS) == ["smote-mlp", "none-mlp+tilt", "none-mlp"]
    assert decisions.moved_baseline(ARMS, "smote-mlp") == "none-mlp+tilt"
    assert decisions.moved_baseline(ARMS, "none-mlp+tilt") is None
    assert decisions.moved_baseline(ARMS.drop(index=1), "smote-mlp") is None
    assert decisions.moved_baseline(ARMS.assign(baseline=""), "smote-mlp") is None


def test_operating_points_stand_side_by_side_with_what_the_rarest_class_gets():
    rare = {name: {"prevalence_ratio": float(number)} for number, name in enumerate(METRICS["arms"])}
    points = decisions.operating_points(ARMS, METRICS, rare)
    assert points["decisions"] == ["thresholds", "tilt", "prior"]
    assert [row["arm"] for row in points["rows"]] == ["smote-mlp", "none-mlp"]
    smote, none = (row["cells"] for row in points["rows"])
    assert smote["tilt"] is smote["thresholds"] is none["prior"] is None
    assert (smote[""]["selected"], smote["prior"]["selected"]) == (True, False)
    assert (none["tilt"]["test"]["macro_f1"], none["tilt"]["ratio"]) == (0.2, 2.0)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"kind": "Unchanged"}, ""),
        ({"kind": "Weights", "weights": [1.0, 1.0]}, ""),
        ({"kind": "Weights", "weights": [1.0, 0.1234]}, "weights A 1, B 0.123"),
        ({"kind": "Scaled", "scale": 0.5, "offset": 0.0}, "temperature 2.00"),
        ({"kind": "Scaled", "scale": [0.5, 1], "offset": [0.0, 1]}, "scaled"),
        ({"kind": "Cut", "number": 1, "threshold": 0.25}, "B from 0.25 on"),
        ({"kind": "Thresholds", "thresholds": [0.5, 0.25]}, "thresholds A 0.5, B 0.25"),
        ({"kind": "Ratios", "ratios": [2.0, 0.5]}, "prior times A 2, B 0.5"),
        ({"kind": "Cheapest", "matrix": []}, "least expected cost"),
        ({"kind": "PerLabel", "each": []}, "each label on its own"),
        ({"kind": "Steps", "x": [], "y": []}, "steps"),
    ],
)
def test_what_a_decision_fitted_is_told_in_words(part, expected):
    fitted = {"classes": ["A", "B"], "variants": {"x+y": {"0": {"calibrator": {"kind": "Unchanged"}, "rule": part}}}}
    assert decisions.fitted(fitted, "x+y") == [{"fold": "0", "words": expected}]
    assert decisions.fitted(fitted, "x") == []


def test_many_weights_are_cut_short():
    names = [f"c{number}" for number in range(12)]
    part = {"kind": "Weights", "weights": [float(number) for number in range(12)]}
    fitted = {"classes": names, "variants": {"x": {"0": {"calibrator": part, "rule": {"kind": "Unchanged"}}}}}
    assert decisions.fitted(fitted, "x")[0]["words"].endswith("c7 7, 4 more")


def test_what_a_search_chose_is_told_with_its_figure_and_its_cost():
    record = {
        "label": "Mass",
        "metric": "macro_f1",
        "candidates": [
            {"values": {"head.C": 0.1}, "score": 0.5, "spread": 0.02},
            {"values": {"head.C": 1}, "score": 0.6, "spread": None},
        ],
        "chosen": {"head.C": 1},
        "fits": 6,
        "seconds": 2.5,
    }
    fits = {"a": {"folds": [{"fold": 1, "searched": [record]}]}, "b": {"folds": [{"fold": 1}]}}
    (row,) = decisions.searches(fits)
    assert row == {
        "arm": "a · Mass",
        "fold": 1,
        "chosen": "C 1",
        "metric": "macro_f1",
        "score": 0.6,
        "spread": None,
        "candidates": 2,
        "fits": 6,
        "seconds": 2.5,
    }


def test_the_page_compares_with_the_baseline_at_its_best_decision():
    variants = ["none-logistic+tilt", "none-logistic+thresholds", "smote-logistic+prior"]
    html = page(arms=("smote-logistic", "none-logistic"), decisions=variants)
    synthetic_order = pd.read_csv(artifacts.EVALUATION / "arms.csv").set_index("arm")["leading"]
    assert synthetic_order.tolist() == [True, True, False, False, False]
    shown = re.findall(r"<tr[^>]*><th>([\w-]+(?:\+\w+)?)", section(html, "arms").partition("Operating points")[0])
    assert shown == ["smote-logistic", "none-logistic"]
    points = section(html, "arms").partition("Operating points")[2]
    assert re.findall(r'<th class="num">\+(\w+)</th>', points) == ["tilt", "thresholds", "prior"]
    assert "Every decision of every arm, 5 in all" in points


def test_operating_points_show_two_figures_also_where_macro_f1_selects():
    synthetic.write(folds=1, frozen=True, arms=("smote-logistic", "none-logistic"), decisions=["none-logistic+tilt"])
    select = ["macro_f1", "kappa", "auc"]
    report.run(dataclasses.replace(PARAMS, evaluate=dataclasses.replace(PARAMS.evaluate, select=select)))
    points = section(artifacts.REPORT.read_text(), "arms").partition("Operating points")[2]
    assert "test macro-F1, and below it adjusted balanced accuracy" in points
    test = storage.load_json(artifacts.METRICS, "evaluate")["arms"]["smote-logistic"]["test"]
    shown = [f"{test[name]:.2f}" for name in ("macro_f1", "balanced_accuracy_adjusted")]
    assert re.findall(r"(0\.\d\d)<small>(0\.\d\d) ", points)[0] == tuple(shown)


def test_a_selected_decision_leads_and_tells_what_it_fitted():
    html = page(
        arms=("none-logistic", "smote-logistic"), decisions=["none-logistic+tilt"], selected="none-logistic+tilt"
    )
    head = re.sub("</?span[^>]*>", "", html.partition("</header>")[0])
    assert "none-logistic+tilt was selected on validation, and has a better macro-F1 on test than the baseline" in head
    assert "at its best decision" not in head
    assert "<li>Fold 0: weights A 1.5, B 1, C 1, D 1</li>" in section(html, "arms")
    html = page_again(selected="smote-logistic")
    head = html.partition("</header>")[0]
    assert "Against that at its best decision, none-logistic+tilt: " in head
    assert "<h3>Against that at its best decision</h3>" in section(html, "comparison")


def page_again(selected: str) -> str:
    """The other arm selected, with the baseline's decision above the baseline."""
    arms = pd.read_csv(artifacts.EVALUATION / "arms.csv")
    arms["selected"] = arms["arm"] == selected
    arms.to_csv(artifacts.EVALUATION / "arms.csv", index=False)
    metrics = storage.load_json(artifacts.METRICS, "evaluate")
    storage.save_json(artifacts.METRICS, {**metrics, "selected": selected})
    compared = pd.read_csv(artifacts.COMPARISON)
    turned = compared[compared["reference"] == "none-logistic+tilt"]
    assert "smote-logistic" in set(turned["arm"])
    report.run(PARAMS)
    return artifacts.REPORT.read_text()


def test_arms_without_other_decisions_have_no_table_of_them():
    html = page(arms=("smote-logistic", "none-logistic"))
    assert "Operating points" not in html
    assert "Every decision of every arm" not in html


def test_a_failed_arm_is_red_with_its_remedy():
    why = {"where": "fold 0", "what": "1 class in all rows\nmore", "remedy": "give more rows of A"}
    html = page(arms=("smote-logistic", "none-logistic"), failed={"none-mlp": why})
    assert "none-mlp could not be fitted and is left out: 1 class in all rows" in RED.findall(
        html.partition("</header>")[0]
    )
    (told,) = re.findall(r'<li class="bad">(none-mlp.*?)</li>', section(html, "arms"), re.DOTALL)
    assert told.endswith("more. Remedy: give more rows of A")


def test_what_is_gained_by_leaving_doubtful_images_to_a_person_is_a_table():
    table = section(page(arms=("smote-logistic",)), "reject").partition("<tbody>")[2]
    rows = re.findall(r"<tr><th class=.num.>(.*?)</tr>", table)
    assert len(rows) == 2
    cells = re.findall(r'<td class="num">(.*?)</td>', rows[1])
    assert cells == ["88 %", "24 %", "0.60", "0.50", "25 %", "25 %", "25 %", "25 %"]

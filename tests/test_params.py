import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.errors import PipelineError

FILE = Path(__file__).parents[1] / "params.yaml"
VALUES = YAML(typ="safe").load(FILE)


@pytest.fixture
def values():
    return copy.deepcopy(VALUES)


def test_the_params_of_the_repository_are_valid():
    assert params.load(FILE).grid.heads == ["logistic", "lightgbm", "mlp"]


def test_all_faults_are_reported_at_once(values):
    values["finetune"]["epoch"] = values["finetune"].pop("epochs")
    values["split"]["val"] = 2.0
    values["render"]["fit"] = "stretch"
    values["bogus"] = {}
    with pytest.raises(PipelineError) as error:
        params.check(values)
    text = str(error.value)
    assert text.startswith("params.yaml: 5 faults:")
    assert "finetune.epochs: missing key; section finetune has policy, epochs" in text
    assert "finetune.epoch: unknown key; did you mean epochs?" in text
    assert "split.val: input should be less than 1 (got 2.0)" in text
    assert "render.fit: input should be 'pad', 'squash' or 'crop' (got 'stretch')" in text
    assert "bogus: unknown key; the file has data, demo, split" in text
    assert "Remedy: mend these keys" in text


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("split", "folds", "3", r"split.folds: input should be a valid integer \(got '3'\)"),
        ("split", "folds", True, r"split.folds: input should be a valid integer \(got True\)"),
        ("split", "seed", -1, r"split.seed: input should be greater than or equal to 0 \(got -1\)"),
        ("data", "label", ["a", "b"], r"data.label: several columns are for data.task: multilabel"),
        ("data", "task", "multi", r"data.task: input should be 'multiclass', 'binary' or 'multilabel' \(got 'multi'\)"),
        (
            "data",
            "task",
            "multilabel",
            r"finetune.loss: cross_entropy is not for data.task: multilabel; bce, weighted_b",
        ),
        ("data", "label", ["A"], r"- data.label: list should have at least 2 items"),
        (
            "finetune",
            "policy",
            {"name": "warmup", "epochs": 12, "then": "full"},
            r"policy: warmup \(epochs 12, then full\) leaves none of 12 epochs to train more than the classifier",
        ),
        (
            "finetune",
            "sampler",
            {"name": "two_phase", "last": 12},
            r"sampler: two_phase \(last 12\) leaves none of 12 epochs with balanced batches",
        ),
        ("finetune", "sampler", "weightd", r"- finetune.sampler: there is no weightd; .*; did you mean weighted\?"),
        ("data", "classes", ["A"], r"data.classes: list should have at least 2 items"),
        ("data", "classes", ["A", "A"], r"data.classes: a class is named twice"),
        ("data", "path", None, r"data.path, data.id: at least one must name a column"),
        ("finetune", "loss", "weighted", r"finetune.loss: sampler weighted balances already, so does loss weighted"),
        ("grid", "heads", ["logistik"], r"grid.heads: 'logistik' has no entry in section heads.*did you mean logistic"),
        ("grid", "resamplers", ["none", "none"], r"grid.resamplers: a name stands twice"),
        ("grid", "heads", [], r"grid.heads: list should have at least 1 item"),
        ("demo", "images", 1700, r"demo.images: at most 4 × demo.patients"),
        *(
            ("render", "window", value, r"render.window: .*must be file, percentile, or \[center, width\] with a width")
            for value in ("auto", [40], [40, 0], [40, -1], ["40", "400"], [True, 3], {"center": 40})
        ),
        ("render", "bits", 12, r"render.bits: input should be 8 or 16 \(got 12\)"),
        ("pixels", "timeout", 0, r"pixels.timeout: input should be greater than 0"),
        ("data", "max_quarantined", 1.5, r"data.max_quarantined: input should be less than or equal to 1"),
        ("evaluate", "select", ["accuracy"], r"evaluate.select.0: input should be 'balanced_accuracy_adjusted'"),
    ],
)
def test_an_impossible_value_names_its_key_and_what_is_allowed(values, section, key, value, message):
    values[section][key] = value
    with pytest.raises(PipelineError, match=message):
        params.check(values)


def test_shares_that_leave_nothing_to_train_on_are_refused_for_one_hold_out(values):
    values["split"] |= {"folds": 1, "val": 0.5, "test": 0.5}
    with pytest.raises(PipelineError, match="they must leave patients for training"):
        params.check(values)


def test_a_seed_of_zero_is_a_seed(values):
    values["split"]["seed"] = 0
    assert params.check(values).split.seed == 0


def test_numbers_as_class_names_become_text(values):
    values["data"]["classes"] = [1, 2, 3, 4]
    assert params.check(values).data.classes == ["1", "2", "3", "4"]


def test_scientific_notation_and_words_are_read_as_in_yaml_1_2(tmp_path):
    text = FILE.read_text().replace("lr: 0.003", "lr: 3e-3").replace("classes: null", "classes: [NO, YES]")
    (tmp_path / "params.yaml").write_text(text)
    loaded = params.load(tmp_path / "params.yaml")
    assert (loaded.finetune.lr, loaded.data.classes) == (0.003, ["NO", "YES"])


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(PipelineError, match="run from the folder that holds it"):
        params.load(tmp_path / "params.yaml")


def test_broken_yaml_names_the_line(tmp_path):
    (tmp_path / "params.yaml").write_text("data: [1,\nsplit: }")
    with pytest.raises(PipelineError, match=r"(?s)is not valid YAML.*line 2"):
        params.load(tmp_path / "params.yaml")


def test_a_window_may_be_given_by_its_center_and_width(values):
    values["render"]["window"] = [40, 400]
    assert params.check(values).render.window == (40.0, 400.0)


def test_all_faults_of_decisions_are_reported_at_once_with_the_name_that_was_meant(values):
    values["data"]["classes"] = ["hernia", "mass", "lump"]
    values["demo"]["classes"] = {"hernia": 1, "mass": 1}
    sensitivity = {"name": "sensitivity", "class": "herna", "least": 0.95}
    values["evaluate"]["decisions"] = ["tilt", "tilt", sensitivity, {"name": "cost", "matrix": [[0, 1], [2, 0]]}]
    with pytest.raises(PipelineError) as error:
        params.check(values)
    assert str(error.value).splitlines()[1:4] == [
        "  - evaluate.decisions.1: tilt with the same values stands twice",
        "  - evaluate.decisions.2.class: 'herna' is not one of data.classes (hernia, mass, lump); did you mean hernia?",
        "  - evaluate.decisions.3.matrix: must be 3 by 3 (got 2 rows of [2])",
    ]
    values["evaluate"]["decisions"] = ["isotnic", {"name": "thresholds", "metric": "f1"}]
    with pytest.raises(
        PipelineError, match=r"2 faults:\n.*decisions.0: .*mean isotonic\?.*\n.*decisions.1: metric: input"
    ):
        params.check(values)


def test_views_put_every_class_in_one_group_and_units_are_no_finer_than_those_learned(values):
    values["data"]["classes"] = ["hernia", "mass", "lump"]
    values["demo"]["classes"] = {"hernia": 1, "mass": 1}
    values["fit"]["unit"] = "exam"
    values["evaluate"] |= {
        "unit": "image",
        "subgroups": ["view", "view"],
        "groups": {
            "whole": {"ill": ["hernia", "mass"], "well": ["lump"]},
            "less": {"ill": ["hernai", "mass"], "well": ["mass"], "none": []},
        },
    }
    with pytest.raises(PipelineError) as error:
        params.check(values)
    assert str(error.value).splitlines()[1:-1] == [
        "  - evaluate.unit: image is finer than fit.unit: exam, of which there is one prediction; "
        "set it to null or exam or patient",
        "  - evaluate.groups.less: class mass stands twice",
        "  - evaluate.groups.less.none: has no class",
        "  - evaluate.groups.less: there is no class hernai; did you mean hernia?",
        "  - evaluate.groups.less: class hernia, lump is in no group",
        "  - evaluate.subgroups: a column is named twice (got ['view', 'view'])",
    ]


@pytest.mark.parametrize("unit", ["exam", "patient", None])
def test_a_unit_as_coarse_as_that_learned_and_numbers_in_views_are_taken(values, unit):
    values["fit"]["unit"] = "exam"
    values["evaluate"] |= {"unit": unit, "groups": {"density": {"fatty": [1, 2], "dense": [3, 4]}}}
    found = params.check(values).evaluate
    assert (found.unit, found.groups) == (unit, {"density": {"fatty": ["1", "2"], "dense": ["3", "4"]}})


def test_views_are_not_for_labels(values):
    values["data"] |= {"task": "multilabel", "label": ["Mass", "Nodule"]}
    values["finetune"]["loss"] = "bce"
    values["evaluate"]["groups"] = {"any": {"ill": ["Mass"], "well": ["Nodule"]}}
    with pytest.raises(PipelineError, match=r"evaluate\.groups: merges classes of which an image has one"):
        params.check(values)


def test_a_cost_matrix_is_square_where_the_classes_are_not_given_and_of_two_for_labels(values):
    values["evaluate"]["decisions"] = [{"name": "cost", "matrix": [[0, 1], [2, 0, 1]]}]
    with pytest.raises(PipelineError, match=r"matrix: must be as wide as it is high \(got 2 rows of \[2, 3\]\)"):
        params.check(values)
    values["data"] |= {"task": "multilabel", "label": ["Mass", "Nodule", "Hernia"]}
    values["finetune"]["loss"] = "bce"
    values["evaluate"]["decisions"] = [{"name": "cost", "matrix": [[0, 1, 1], [2, 0, 1], [1, 1, 0]]}]
    with pytest.raises(PipelineError, match=r"matrix: must be 2 by 2"):
        params.check(values)


FOLDERS = {"labels": "folders", "pattern": r"(?P<label>\w+)/(?P<patient>\w+)"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"rest": "B"}, r"data.rest: 'B' must be one of data.classes \(got None\)"),
        ({"rest": "B", "classes": ["A", "C"]}, r"data.rest: 'B' must be one of data.classes \(got \['A', 'C'\]\)"),
        ({"rest": "B", "task": "multilabel"}, "data.rest: data.task: multilabel judges each label against the rest"),
        ({"pattern": "(?P<label>x)"}, "data.pattern: is for data.labels: folders"),
        ({**FOLDERS, "pattern": "(?P<label>x"}, "data.pattern: is no regular expression: missing \\)"),
        ({**FOLDERS, "pattern": r"\w+"}, r"data.pattern: has no group \(\?P<label>…\)"),
        (
            {**FOLDERS, "pattern": "(?P<label>x)(?P<zoom>y)"},
            r"data.pattern: groups are label, patient, split and those of data.attributes \(got zoom\)",
        ),
        ({**FOLDERS, "attributes": ["zoom"]}, r"data.attributes: data.pattern has no group \(\?P<zoom>…\)"),
        ({**FOLDERS, "attributes": ["patient"]}, "data.attributes: 'patient' is the group patient, which no artifact"),
        ({"attributes": ["sex", "sex"]}, "data.attributes: a column is named twice"),
        ({"attributes": ["pid"], "patient": "pid"}, "data.attributes: 'pid' is data.patient, which no artifact holds"),
        *(
            ({"attributes": [name]}, f"data.attributes: '{name}' looks personal")
            for name in (
                "Name",
                "PatientName",
                "first_name",
                "Date of Birth",
                "birth_date",
                "patient_dob",
                "Patient ID",
            )
        ),
    ],
)
def test_faults_of_where_labels_come_from_are_told(values, data, message):
    values["data"] |= data
    with pytest.raises(PipelineError, match=message):
        params.check(values)


def test_ordinary_columns_are_no_personal_ones(values):
    values["data"]["attributes"] = [
        "sex",
        "scanner name",
        "Patient Gender",
        "View Position",
        "age_group",
        "birthweight",
    ]
    assert len(params.check(values).data.attributes) == 6

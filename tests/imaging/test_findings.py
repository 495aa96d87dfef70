import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imports import ROOT

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.imaging import findings, labels
from pipeline.imaging.labels import Columns

NAMES = ["Hernia", "Mass", "Nodule"]


def columns(tmp_path, text, names=("Mass", "Nodule")):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    table = labels.read_csv(path, Columns(tuple(names), "path"))
    return findings.from_columns(table, names, path)


def joined(*texts, chosen=None):
    return findings.from_joined(pd.DataFrame({"label": texts, "line": range(2, 2 + len(texts))}), chosen)


def codes(table, names):
    return table[[f"label_{name}" for name in names]].to_numpy().tolist()


def test_columns_may_hold_0_1_and_minus_1_or_nothing_for_missing(tmp_path):
    table = columns(tmp_path, "path,Nodule,Mass\na,0,1\nb,0.0,1.0\nc,-1,\nd,-1.0,nan\ne,1,-1\nf,0,0\n")
    assert codes(table, ["Mass", "Nodule"]) == [[1, 0], [1, 0], [-1, -1], [-1, -1], [-1, 1], [0, 0]]
    assert table["label"].tolist() == ["Mass", "Mass", "", "", "Nodule", "No Finding"]
    assert (table["fault"] == "").all()
    assert table["label_Mass"].dtype == np.int8


@pytest.mark.parametrize(
    ("cell", "kind"), [("yes", "text"), ("2", "another number"), ("inf", "a number that is not finite")]
)
def test_a_cell_of_another_kind_is_a_fault_that_names_the_column_and_not_the_value(tmp_path, cell, kind):
    table = columns(tmp_path, f"path,Mass,Nodule\na,1,{cell}\nb,0,1\nc,0,0\n")
    assert table["fault"].tolist() == [f"label is not 0 or 1: column 'Nodule' holds {kind}", "", ""]
    assert codes(table, ["Mass", "Nodule"])[0] == [1, -1]


def test_the_first_of_several_faulty_columns_is_named(tmp_path):
    table = columns(tmp_path, "path,Mass,Nodule\na,x,y\nb,0,1\nc,1,0\n")
    assert table["fault"][0] == "label is not 0 or 1: column 'Mass' holds text"


def test_a_column_that_is_mostly_something_else_is_an_error_with_its_lines(tmp_path):
    message = (
        r"labels.csv: column 'Nodule' holds another number or text in 3 of 4 filled cells, "
        r"such as those of lines 3, 4, 6\n"
        r"  Remedy: name columns of 0 and 1 in data.label"
    )
    with pytest.raises(PipelineError, match=message):
        columns(tmp_path, "path,Mass,Nodule\na,1,1\nb,0,no\nc,0,7\nd,1,\ne,1,no\n")


def test_every_absent_label_column_is_told(tmp_path):
    with pytest.raises(
        PipelineError, match=r"has no column 'Hernia' \(data.label\), 'Edema' \(data.label\); it has path"
    ):
        columns(tmp_path, "path,Mass\na,1\n", ("Hernia", "Mass", "Edema"))


def test_joined_labels_are_taken_apart_in_sorted_order():
    table, ignored = joined("Nodule|Mass", "No Finding", "hernia | Mass|", "NO FINDING", "")
    assert codes(table, ["Mass", "Nodule", "hernia"]) == [[1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 0], [-1, -1, -1]]
    assert table["label"].tolist() == ["Mass|Nodule", "No Finding", "Mass|hernia", "No Finding", ""]
    assert not ignored


def test_labels_that_are_numbers_are_ordered_by_value():
    table, _ = joined("10|9", "2")
    assert [name for name in table if name.startswith("label_")] == ["label_2", "label_9", "label_10"]


def test_chosen_labels_leave_the_images_of_the_others_in():
    table, ignored = joined("Mass|Hernia", "Mass", "Nodule", "Hernia", "No Finding", chosen=["Nodule", "Hernia"])
    assert table["label"].tolist() == ["Hernia", "No Finding", "Nodule", "Hernia", "No Finding"]
    assert codes(table, ["Nodule", "Hernia"]) == [[0, 1], [0, 0], [1, 0], [0, 1], [0, 0]]
    assert ignored == {"Mass": 2}


def test_no_finding_beside_a_finding_is_a_fault():
    table, _ = joined("No Finding|Mass", "Mass|Nodule")
    assert table["fault"].tolist() == ["label contradicts itself: No Finding beside a finding", ""]


def test_no_finding_is_no_label_to_choose():
    with pytest.raises(PipelineError, match=r"data.classes: 'No Finding' is no label.*\n  Remedy: leave it out"):
        joined("Mass", "Nodule", chosen=["Mass", "no finding"])


def test_without_any_label_there_is_nothing_to_learn():
    with pytest.raises(PipelineError, match="no row has a label other than 'No Finding'"):
        joined("No Finding", "")


@pytest.mark.parametrize("cells", [("1", "0"), ("1.0", "", "-1.0", "0.0")])
def test_one_column_of_0_and_1_holds_no_names_of_labels(cells):
    message = r"data.label: holds .*1.*, as a column of one label does.*\n  Remedy: name several .*data.task: binary"
    with pytest.raises(PipelineError, match=message):
        joined(*cells)


@pytest.mark.parametrize(("text", "mark"), [("Mass;Nodule", ";"), ("Nodule, Mass", ","), ("No Finding;Mass", ";")])
def test_labels_joined_by_another_mark_are_refused(text, mark):
    message = rf"data.label: '{text}' looks like labels that are joined by '{mark}'\n  Remedy: join them by '\|'"
    with pytest.raises(PipelineError, match=message):
        joined("Mass", "Nodule", text)


def test_a_label_may_hold_a_mark_of_its_own():
    table, _ = joined("Fracture, old|Mass", "Mass", "Fracture")
    assert [name for name in table if name.startswith("label_")] == [
        "label_Fracture",
        "label_Fracture, old",
        "label_Mass",
    ]


@pytest.mark.parametrize("wrong", ["Nodul", "nodule"])
def test_a_chosen_label_that_is_misspelt_is_refused_and_one_that_no_row_has_is_not(wrong):
    with pytest.raises(PipelineError, match=rf"data.classes: no row has the label '{wrong}'; did you mean 'Nodule'\?"):
        joined("Mass", "Nodule", chosen=["Mass", wrong])
    table, _ = joined("Mass", "Nodule", chosen=["Mass", "Hernia"])
    assert codes(table, ["Mass", "Hernia"]) == [[1, 0], [0, 0]]


def data(**values):
    return dataclasses.replace(params.load(ROOT / "params.yaml").data, task="multilabel", **values)


def test_columns_are_chosen_and_ordered_by_data_classes():
    assert findings.columns(data(label=NAMES, classes=["Nodule", "Hernia"])) == ("Nodule", "Hernia")
    assert findings.columns(data(label=NAMES)) == tuple(NAMES)
    assert findings.columns(data(label="labels", classes=["Nodule", "Hernia"])) == "labels"
    with pytest.raises(
        PipelineError, match=r"data.classes: Edema are no columns of data.label, which has Hernia, Mass"
    ):
        findings.columns(data(label=NAMES, classes=["Mass", "Edema"]))


def test_joined_labels_that_no_image_has_are_no_labels_and_named_ones_are():
    index = pd.DataFrame({"label_a": [1, 0], "label_b": [0, -1]})
    found, note = findings.without_absent(index, data(label="labels"))
    assert (list(found), note) == (["label_a"], "labels that no usable image has: b")
    for p in (data(label=["a", "b"]), data(label="labels", classes=["a", "b"])):
        assert findings.without_absent(index, p)[0] is index


@given(st.lists(st.frozensets(st.sampled_from(NAMES)), min_size=1).filter(any), st.randoms())
def test_the_order_in_which_labels_are_written_does_not_matter(sets, random):
    def written(of):
        return "|".join(random.sample(sorted(of), len(of))) or "No Finding"

    table, _ = joined(*map(written, sets), chosen=NAMES)
    assert codes(table, NAMES) == [[int(name in of) for name in NAMES] for of in sets]
    assert table["label"].tolist() == ["|".join(name for name in NAMES if name in of) or "No Finding" for of in sets]


def test_images_of_each_label_are_counted():
    index = pd.DataFrame({"label_a": [1, 1, 0, -1], "label_b": [0, 0, -1, -1]}).astype("int8")
    assert findings.count(index) == ({"a": 2, "b": 0}, {"a": 1, "b": 2}, 2)


def rest(*texts, classes=("other", "Mass", "Hernia")):
    table = findings.against_rest(pd.DataFrame({"label": texts}), classes, "other")
    return table[["label", "fault"]].to_numpy().tolist()


def test_one_class_stands_for_every_other_label_and_joined_ones_are_taken_apart():
    assert rest("Mass", "Nodule|Hernia", "Nodule", "No Finding", "other", "") == [
        ["Mass", ""],
        ["Hernia", ""],
        ["other", ""],
        ["other", ""],
        ["other", ""],
        ["", ""],
    ]


def test_an_image_of_two_of_the_classes_is_a_fault():
    assert rest("Hernia|Mass", "Mass")[0] == ["Mass", "label names several of data.classes: Mass and Hernia"]


def test_a_misspelt_class_beside_the_rest_is_an_error():
    with pytest.raises(PipelineError, match="no row has the label 'Hernia'; did you mean 'Hernias'"):
        rest("Hernias", "Mass")

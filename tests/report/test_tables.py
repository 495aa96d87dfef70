import pandas as pd

from pipeline.report import tables

COMPARISON = pd.DataFrame(
    {
        "arm": ["b", "c", "c"],
        "reference": ["a", "a", "b"],
        "metric": "macro_f1",
        "difference": [0.1, 0.3, 0.2],
        "low": [-0.1, 0.2, 0.1],
        "high": [0.3, 0.4, 0.3],
        "verdict": ["can't tell", "better", "better"],
    }
)


def test_a_comparison_that_stands_the_other_way_round_is_turned():
    gain = tables.gains(COMPARISON, "b", "c")["macro_f1"]
    assert {key: gain[key] for key in ("arm", "reference", "difference", "low", "high", "verdict")} == {
        "arm": "b",
        "reference": "c",
        "difference": -0.2,
        "low": -0.3,
        "high": -0.1,
        "verdict": "worse",
    }
    assert tables.gains(COMPARISON, "b", "a")["macro_f1"]["difference"] == 0.1
    assert tables.gains(COMPARISON, "b", "x") == {}


def test_the_arms_keep_the_order_and_the_baselines_of_the_evaluation():
    arms = pd.DataFrame({"arm": ["smote-mlp", "none-mlp", "smote-knn"], "baseline": ["none-mlp", "none-mlp", ""]})
    assert list(tables.baselines(arms).items()) == [
        ("smote-mlp", "none-mlp"),
        ("none-mlp", "none-mlp"),
        ("smote-knn", None),
    ]


def test_arms_without_a_reference_have_no_row_among_the_differences():
    rows = tables.differences(COMPARISON, [("a", "a"), ("b", "a"), ("c", None), ("c", "b")])
    assert [(row["arm"], row["reference"]) for row in rows] == [("b", "a"), ("c", "b")]


def test_the_rarest_class_is_one_that_was_tested():
    rows = pd.DataFrame({"arm": ["x"] * 3 + ["y"] * 3, "class": ["a", "b", "c"] * 2, "n": [0, 3, 2] * 2})
    assert {arm: row["class"] for arm, row in tables.rarest(rows).items()} == {"x": "c", "y": "c"}


def test_confusion_shares_are_of_the_true_class():
    rows = tables.confusion_rows([[3, 1], [0, 0]], ["a", "b"])
    assert [cell["share"] for cell in rows[0]["cells"]] == [0.75, 0.25]
    assert [cell["share"] for cell in rows[1]["cells"]] == [0.0, 0.0]
    assert [row["total"] for row in rows] == [4, 0]


def test_class_counts_give_patients_and_the_imbalance_and_leave_out_empty_classes():
    index = pd.DataFrame({"label": ["x", "x", "x", "x", "y"], "group": ["1", "1", "2", "3", "1"]})
    assert tables.class_counts(index, ["y", "x", "z"]) == [
        {"class": "y", "images": 1, "patients": 1, "share": 0.2, "ratio": 4.0, "missing": 0},
        {"class": "x", "images": 4, "patients": 3, "share": 0.8, "ratio": 1.0, "missing": 0},
    ]


MARKED = pd.DataFrame(
    {
        "image_id": ["1", "2", "3", "4"],
        "label": ["x|y", "x", "No Finding", "x"],
        "group": ["p", "p", "q", "q"],
        "label_x": [1, 1, 0, 1],
        "label_y": [1, -1, 0, -1],
        "label_z": [-1, -1, -1, -1],
    }
)


def test_labels_are_counted_among_the_images_where_they_are_known():
    assert tables.class_counts(MARKED, ["x", "y", "z"]) == [
        {"class": "x", "images": 3, "patients": 2, "share": 0.75, "ratio": 1.0, "missing": 0},
        {"class": "y", "images": 1, "patients": 1, "share": 0.5, "ratio": 3.0, "missing": 2},
    ]


def test_an_image_of_two_labels_has_a_row_for_each_that_names_the_other():
    rows = tables.by_class(MARKED, ["x", "y", "z"])
    assert rows["image_id"].tolist() == ["1", "2", "4", "1"]
    assert rows["label"].tolist() == ["x", "x", "x", "y"]
    assert rows["others"].tolist() == ["y", "", "", "x"]


def test_the_table_of_a_label_has_shares_of_those_that_have_it_and_of_those_that_do_not():
    (row,) = tables.label_confusion([[[6, 2], [1, 3]]], ["x"])
    assert (row["class"], row["total"]) == ("x", 12)
    assert [(cell["count"], cell["share"], cell["right"]) for cell in row["cells"]] == [
        (3, 0.75, True),
        (1, 0.25, False),
        (2, 0.25, False),
        (6, 0.75, True),
    ]


def test_facts_count_values_and_leave_out_what_no_file_gives():
    index = pd.DataFrame(
        {
            "modality": ["MG", "MG", ""],
            "transfer_syntax": ["RLE Lossless", "1.2.3", "1.2.3"],
            "photometric": "",
            "bits_stored": 12,
            "rows": [4, 4, 5],
            "columns": 3,
            "frames": 1,
            "burned_in": "",
        }
    )
    assert [(fact["name"], fact["values"]) for fact in tables.facts(index, most=1)] == [
        ("modality", "MG (2), 1 more"),
        ("transfer syntax", "1.2.3 (2), 1 more"),
        ("bits stored", "12 (3)"),
        ("rows × columns", "4 × 3 (2), 1 more"),
        ("frames", "1 (3)"),
    ]


def test_warnings_of_a_fit_are_told_once_with_their_folds():
    folds = [{"fold": fold, "warnings": ["k shrunk to 3"] if fold else []} for fold in range(3)]
    assert tables.fit_warnings({"folds": folds, "warnings": ["did not converge"]}) == [
        "fold 1, 2: k shrunk to 3",
        "did not converge",
    ]


def test_images_without_a_label_are_told_from_those_whose_label_is_called_no_finding():
    index = pd.DataFrame({"label": ["No Finding", "No Finding", "Mass"]})
    marks = index.assign(**{"label_No Finding": [1, 0, 0], "label_Mass": [0, -1, 1]})
    assert tables.without_label(marks) == 1
    assert tables.without_label(index) == 0


def test_many_classes_are_told_by_their_most_frequent_confusions():
    rows = tables.mixed_up([[5, 1, 0], [4, 2, 0], [0, 3, 0]], ["a", "b", "c"], 2)
    assert rows == [
        {"actual": "b", "predicted": "a", "count": 4, "share": 4 / 6},
        {"actual": "c", "predicted": "b", "count": 3, "share": 1.0},
    ]
    assert tables.mixed_up([[5, 0], [0, 2]], ["a", "b"], 9) == []


def test_a_turned_comparison_swaps_the_chances_of_better_and_worse():
    rows = COMPARISON.assign(p_holm=0.01, better=0.9, same=0.08, worse=0.02)
    gain = tables.gains(rows, "b", "c")["macro_f1"]
    assert (gain["better"], gain["same"], gain["worse"], gain["p_holm"]) == (0.02, 0.08, 0.9, 0.01)

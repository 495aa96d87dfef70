import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.imaging import foldered
from pipeline.imaging.identity import pseudonym

KEY = b"k" * 32


def test_folders_give_class_and_split():
    found = foldered.from_folders(
        pd.Series(["train/NORMAL/1.png", "Val/NORMAL/2.png", "test/SICK/3.png", "train/4.png"])
    )
    assert found[["path", "label", "split"]].to_numpy().tolist() == [
        ["train/NORMAL/1.png", "NORMAL", "train"],
        ["Val/NORMAL/2.png", "NORMAL", "val"],
        ["test/SICK/3.png", "SICK", "test"],
    ]


def test_folders_without_split_words_give_no_split():
    found = foldered.from_folders(pd.Series(["A/1.png", "x/B/2.png", "3.png"]))
    assert found[["label", "split"]].to_numpy().tolist() == [["A", ""], ["B", ""]]


def test_split_folders_for_some_images_alone_are_an_error():
    with pytest.raises(PipelineError, match=r"1 of 2 images lie in no split folder, such as B/2\.png"):
        foldered.from_folders(pd.Series(["train/A/1.png", "B/2.png"]))


PATTERN = r"(?P<split>train|test|other)?/?(?P<label>good|bad)?/(?P<patient>p\d+)_(?P<zoom>\d+)x"


def test_a_pattern_gives_label_patient_split_and_attributes():
    paths = pd.Series(["train/good/p1_40x.png", "deep/test/bad/p22_400x.png", "train/readme.png", "test//p3_40x.png"])
    found = foldered.from_pattern(paths, PATTERN, ["zoom"], KEY)
    assert found[["path", "label", "patient", "split", "attribute_zoom"]].to_numpy().tolist() == [
        ["train/good/p1_40x.png", "good", pseudonym(KEY, "p1"), "train", "40"],
        ["deep/test/bad/p22_400x.png", "bad", pseudonym(KEY, "p22"), "test", "400"],
        ["test//p3_40x.png", "", pseudonym(KEY, "p3"), "test", "40"],
    ]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["a.png", "b.png"],
            r"is found in none of 2 paths, such as a\.png\n  Remedy: paths are those below data.images",
        ),
        (["other/good/p1_4x.png"], r"group split of 1 paths is no split word, such as of other/good/p1_4x\.png"),
        (["train/good/p1_4x.png", "good/p2_4x.png"], r"1 of 2 images lie in no split folder, such as good/p2_4x\.png"),
    ],
)
def test_a_pattern_that_does_not_fit_is_an_error_with_an_example(paths, message):
    with pytest.raises(PipelineError, match=message):
        foldered.from_pattern(pd.Series(paths), PATTERN, [], KEY)

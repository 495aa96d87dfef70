import pandas as pd
import pytest

from pipeline.imaging import flags

CLEAN = {
    "label": "a",
    "modality": "MG",
    "photometric": "MONOCHROME2",
    "burned_in": "NO",
    "derived": False,
    "secondary": False,
    "intent": "FOR PRESENTATION",
    "manufacturer": "Acme",
}


def table(*changes):
    """Ten images, a to j of which differ from a clean one; labelled a, a, a, a, a, b, b, b, b, b."""
    rows = [{**CLEAN, "label": "ab"[number // 5]} for number in range(10)]
    for number, change in enumerate(changes):
        rows[number].update(change)
    return pd.DataFrame(rows)


def test_of_clean_images_nothing_is_said():
    assert flags.flags(table()) == []


def test_what_was_processed_for_presentation_is_no_reason_for_a_warning():
    assert flags.flags(table({"derived": True})) == []


@pytest.mark.parametrize(
    ("change", "name", "count", "words"),
    [
        ({"burned_in": "YES"}, "burned-in annotation", 2, "2 of 10 images have text burned into the pixels"),
        ({"secondary": True}, "secondary capture", 2, "2 of 10 images are secondary captures"),
        ({"derived": True, "intent": ""}, "derived", 2, "2 of 10 images are derived"),
        (
            {"intent": "FOR PROCESSING"},
            "mixed intents",
            2,
            "FOR PRESENTATION 8, FOR PROCESSING 2; share of FOR PRESENTATION by class: a 60%, b 100%",
        ),
        (
            {"manufacturer": "Other"},
            "several manufacturers",
            2,
            "Acme 8, Other 2; share of Acme by class: a 60%, b 100%",
        ),
        (
            {"modality": "CR"},
            "several modalities",
            2,
            "MG 8, CR 2; share of CR by class: a 40%, b 0%",
        ),
        (
            {"photometric": "RGB"},
            "colour and grey",
            2,
            "grey 8, in colour 2; share of grey by class: a 60%, b 100%",
        ),
    ],
)
def test_each_warning_has_its_count_and_words(change, name, count, words):
    (flag,) = flags.flags(table(change, change))
    assert (flag.name, flag.count) == (name, count)
    assert flag.words.startswith(words)


def test_the_share_is_of_the_manufacturer_that_depends_most_on_the_class():
    other, third = {"manufacturer": "Other"}, {"manufacturer": "Third"}
    rows = [other, {}, {}, {}, {}, other, third, third, {}, {}]
    (flag,) = flags.flags(table(*rows))
    assert flag.words.endswith("Acme 6, Other 2, Third 2; share of Acme by class: a 80%, b 40%")


def test_spellings_in_other_case_are_one_manufacturer():
    assert flags.flags(table({"manufacturer": "ACME"})) == []


def test_an_absent_value_is_no_second_kind_but_is_counted_beside_two():
    assert flags.flags(table({"manufacturer": "", "modality": "", "intent": ""})) == []
    (flag,) = flags.flags(table({"manufacturer": ""}, {"manufacturer": "Other"}))
    assert flag.words.startswith("Acme 8, unknown 1, Other 1;")
    assert flag.count == 2


def test_pictures_without_intent_are_not_mixed():
    assert flags.flags(table({"intent": "OTHER"})) == []


def test_of_several_labels_the_shares_are_those_of_the_images_that_have_one():
    columns = {"label_x": [1, 1, 0, 0, 0, 0, 0, 0, 1, -1], "label_y": 0}
    found = flags.flags(table({"modality": "CR"}, {"modality": "CR"}).assign(**columns))
    assert [flag.words for flag in found] == ["MG 8, CR 2; share of CR by class: x 67%, y 0%"]

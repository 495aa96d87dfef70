from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from pipeline.errors import PipelineError
from pipeline.heads.classifiers import HEADS
from pipeline.heads.entries import Entry

CLASSES = ("A", "B", "hernia")


def takes_much(
    random_state: int,
    C: float,
    rounds: Annotated[int, Field(ge=1)] = 5,
    layers: Sequence[int] = (64,),
    weighting: Literal["none", "balanced"] = "none",
    class_weight: Literal["balanced"] | Mapping[int, float] | None = None,
    cost: Sequence[Sequence[float]] | None = None,
    patience: int | None = None,
) -> dict[str, Any]:
    return {"random_state": random_state, "C": C, "class_weight": class_weight, "cost": cost}


def takes_classes(random_state: int, tree: Any, classes: Sequence[str]) -> dict[str, Any]:
    return {"tree": tree, "classes": classes}


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(HEADS, "takes_much", takes_much)
    monkeypatch.setitem(HEADS, "takes_classes", takes_classes)


def entry(values, name="takes_much"):
    return Entry("heads", name, values, f"heads.{name}")


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ({"C": 1}, []),
        ({"C": 0.5, "rounds": 3, "class_weight": {"A": 2}, "cost": [[0, 1], [5, 0]]}, []),
        ({"C": "1"}, ["heads.takes_much.C: input should be a valid number (got '1')"]),
        ({"C": True}, ["heads.takes_much.C: input should be a valid number (got True)"]),
        ({"C": 1, "rounds": 0}, ["heads.takes_much.rounds: input should be greater than or equal to 1 (got 0)"]),
        ({"C": 1, "rounds": 2.5}, ["heads.takes_much.rounds: input should be a valid integer (got 2.5)"]),
        (
            {"C": 1, "weighting": "balancd"},
            ["heads.takes_much.weighting: input should be 'none' or 'balanced' (got 'balancd')"],
        ),
        (
            {"C": 1, "class_weight": {"A": "much"}},
            [
                "heads.takes_much.class_weight: input should be 'balanced' or input should be a valid number "
                "(got {'A': 'much'})"
            ],
        ),
        ({"C": [0.1, 1]}, []),
        ({"C": []}, ["heads.takes_much.C: an empty list leaves nothing to choose from"]),
        ({"C": [0.1, "1"]}, ["heads.takes_much.C[1]: input should be a valid number (got '1')"]),
        ({"C": 1, "layers": [64, 32]}, []),
        ({"C": 1, "layers": [[64], [64, 32]]}, []),
        ({"C": 1, "layers": ["a", "b"]}, ["heads.takes_much.layers: input should be a valid integer (got ['a', 'b'])"]),
    ],
)
def test_values_are_checked_by_the_annotations_of_the_factory(values, faults):
    assert entry(values).faults(multilabel=False) == faults


def test_every_fault_of_an_entry_is_named_at_once_with_what_there_is():
    takes = "takes_much takes C, rounds, layers, weighting, class_weight, cost, patience"
    assert entry({"round": 3, "weighting": 1}).faults(multilabel=False) == [
        f"heads.takes_much.round: unknown value; {takes}; did you mean rounds?",
        f"heads.takes_much.C: missing value; {takes}",
        "heads.takes_much.weighting: input should be 'none' or 'balanced' (got 1)",
    ]


def test_an_unknown_name_is_met_with_the_nearest():
    (fault,) = entry({}, "takes_mush").faults(multilabel=False)
    assert fault.startswith("heads.takes_mush: there is no 'takes_mush'; there are ")
    assert fault.endswith("; did you mean takes_much?")


def test_lists_are_values_to_choose_from_unless_the_parameter_takes_a_list():
    given = {
        "C": [0.1, 1],
        "rounds": 5,
        "layers": [64, 32],
        "cost": [[0, 1], [5, 0]],
        "class_weight": [None, "balanced"],
    }
    assert entry(given).lists == {"C": [0.1, 1], "class_weight": [None, "balanced"]}
    assert entry({"C": 1, "layers": [[64], [64, 32]]}).lists == {"layers": [[64], [64, 32]]}


def test_a_value_that_is_not_given_is_its_default():
    assert (entry({"C": 1}).value("rounds"), entry({"C": 1, "rounds": 9}).value("rounds")) == (5, 9)
    assert entry({"C": 1}).value("patience") is entry({"C": 1}).value("nothing") is None


def test_names_of_classes_become_their_numbers():
    bound = entry({"C": 1, "class_weight": {"hernia": 9.0, "A": 1.0}}).bound(CLASSES)
    assert bound(random_state=0)["class_weight"] == {2: 9.0, 0: 1.0}


def test_numbers_as_names_of_classes_are_names():
    bound = entry({"C": 1, "class_weight": {4: 9.0}}).bound(("2", "4"))
    assert bound(random_state=0)["class_weight"] == {1: 9.0}


def test_a_factory_with_classes_gets_their_names():
    assert entry({"tree": {"x": ["A"]}}, "takes_classes").bound(CLASSES)(random_state=0)["classes"] == CLASSES
    assert entry({"tree": 1, "classes": 2}, "takes_classes").faults(multilabel=False) == [
        "heads.takes_classes.classes: unknown value; takes_classes takes tree"
    ]


def test_a_name_that_is_no_class_is_refused_with_the_nearest_in_lists_too():
    what = r"class_weight: there is no class hernai; did you mean hernia\?\n  Remedy: use the names.*: A, B, hernia"
    for given in ({"hernai": 2.0}, [None, {"hernai": 2.0}]):
        with pytest.raises(PipelineError, match=what):
            entry({"C": 1, "class_weight": given}).check_classes(CLASSES)


@pytest.mark.parametrize("cost", [[[0, 1], [1, 0]], [[0, 1, 1], [1, 0, 1], [1, 0]], [[0, 1, 1]] * 2])
def test_a_cost_matrix_of_another_size_is_refused(cost):
    with pytest.raises(PipelineError, match="but there are 3 classes\n  Remedy: give a row, then a column, for each"):
        entry({"C": 1, "cost": cost}).check_classes(CLASSES)


def test_a_cost_matrix_of_the_right_size_is_passed_on():
    cost = [[0, 1, 1], [1, 0, 1], [5, 5, 0]]
    assert entry({"C": 1, "cost": cost}).bound(CLASSES)(random_state=0)["cost"] == cost

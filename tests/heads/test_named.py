import copy
import dataclasses

import pytest
from imports import ROOT

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.heads import named
from pipeline.heads.classifiers import HEADS
from pipeline.heads.named import Pair, Stack, Vote
from pipeline.heads.resamplers import RESAMPLERS

WHOLE = params.load(ROOT / "params.yaml")
SECTIONS = {
    "resamplers": {"none": {}, "smote": {"k_neighbors": 5}},
    "heads": {"logistic": {"C": 0.1, "max_iter": 100}},
}


def given(arms=None, resamplers=("none", "smote"), heads=("logistic",), task="multiclass", **sections):
    """Params with these single arms, all of them in the grid."""
    sections = copy.deepcopy(SECTIONS) | sections
    grid = dataclasses.replace(WHOLE.grid, resamplers=list(resamplers), heads=list(heads), arms=list(arms or {}))
    data = dataclasses.replace(WHOLE.data, task=task)
    return dataclasses.replace(WHOLE, **sections, arms=arms or {}, grid=grid, data=data)


def faults(of):
    with pytest.raises(PipelineError) as error:
        named.check(of)
    first, *lines, last = str(error.value).splitlines()
    assert first == f"params.yaml: {len(lines)} fault{'s' * (len(lines) > 1)} in the grid:"
    assert last == "  Remedy: mend these entries, then run again"
    return [line.removeprefix("  - ") for line in lines]


def test_every_entry_of_the_repository_is_without_fault():
    grid = dataclasses.replace(WHOLE.grid, resamplers=list(WHOLE.resamplers), heads=list(WHOLE.heads), arms=[])
    named.check(dataclasses.replace(WHOLE, grid=grid))
    assert set(WHOLE.resamplers) <= set(RESAMPLERS)
    assert set(WHOLE.heads) <= set(HEADS)


def test_a_pair_takes_the_values_of_the_sections():
    arm = named.find(given(), "smote-logistic")
    assert isinstance(arm, Pair)
    assert (arm.resampler.values, arm.head.values) == ({"k_neighbors": 5}, {"C": 0.1, "max_iter": 100})


def test_a_single_arm_has_values_of_its_own_or_those_of_a_section_by_name():
    arms = {"soft": {"resampler": {"name": "smote", "k_neighbors": 3}, "head": "logistic"}}
    arm = named.find(given(arms), "soft")
    assert isinstance(arm, Pair)
    assert (arm.resampler.values, arm.head.values["C"]) == ({"k_neighbors": 3}, 0.1)
    assert [entry.where for entry in named.entries(arm)] == ["arms.soft.resampler", "heads.logistic"]


def test_votes_and_stacks_are_made_of_pairs_and_of_each_other():
    arms = {
        "both": {"vote": ["none-logistic", "smote-logistic"]},
        "over": {"stack": ["both", "none-logistic"], "C": 0.5},
    }
    arm = named.find(given(arms), "over")
    assert isinstance(arm, Stack)
    assert arm.C == 0.5
    assert isinstance(arm.members["both"], Vote)
    assert len(list(named.entries(arm))) == 6
    described = named.describe(arm)
    assert described["stack"]["both"]["vote"]["smote-logistic"]["resampler"] == {"name": "smote", "k_neighbors": 5}


@pytest.mark.parametrize(
    ("arm", "fault"),
    [
        ({"vote": ["none-logistic", "one"]}, "arms.one.vote: an arm cannot be made of itself (one → one)"),
        (
            {"vote": ["none-logistic", "smot-logistic"]},
            "arms.one.vote: there is no arm 'smot-logistic'; an arm is <resampler>-<head>, or one of section arms "
            "(one); did you mean smote-logistic?",
        ),
        (
            {"vote": ["none-logistic"]},
            "arms.one.vote: must be a list of at least two names of arms (got ['none-logistic'])",
        ),
        (
            {"vote": "none-logistic"},
            "arms.one.vote: must be a list of at least two names of arms (got 'none-logistic')",
        ),
        (
            {"vote": ["none-logistic", "none-logistic", "smote-logistic"]},
            "arms.one.vote: a name stands twice (got ['none-logistic', 'none-logistic', 'smote-logistic'])",
        ),
        ({"stack": ["none-logistic", "smote-logistic"], "C": 0}, "arms.one.C: must be a number above 0 (got 0)"),
        (
            {"resampler": "none"},
            "arms.one: must be {resampler: …, head: …}, {vote: [ARM, …]} or {stack: [ARM, …], C: 1} (has resampler)",
        ),
        (
            {"resampler": "none", "head": "logistik"},
            "arms.one.head: must be a name of section heads (logistic), or {name: …} with its values; "
            "did you mean logistic? (got 'logistik')",
        ),
        (
            {"resampler": {"name": "smote", "k": 3}, "head": "logistic"},
            "arms.one.resampler.k: unknown value; smote takes ",
        ),
    ],
)
def test_a_fault_of_a_single_arm_is_named_with_its_key(arm, fault):
    assert any(line.startswith(fault) for line in faults(given({"one": arm})))


def test_arms_that_are_made_of_each_other_are_a_fault():
    arms = {"a": {"vote": ["b", "none-logistic"]}, "b": {"stack": ["none-logistic", "a"]}}
    assert faults(given(arms)) == [
        "arms.b.stack: an arm cannot be made of itself (a → b → a)",
        "arms.a.vote: an arm cannot be made of itself (b → a → b)",
    ]


def test_a_name_that_dvc_or_a_pair_could_not_bear_is_a_fault():
    arm = {"vote": ["none-logistic", "smote-logistic"]}
    assert faults(given({"my-vote": arm})) == ["arms.my-vote: the name of a single arm has letters, digits and _ only"]


def test_all_faults_of_the_grid_are_reported_at_once():
    of = given({"one": {"vote": []}}, resamplers=["smot", "smote"])
    of.resamplers.update(smot={}, smote={"k_neighbors": True})
    of.heads["logistic"] = {"c": 1}
    lines = faults(of)
    assert lines[0] == "arms.one.vote: must be a list of at least two names of arms (got [])"
    assert lines[1].startswith("resamplers.smot: there is no 'smot'; there are none, random_over, ")
    assert lines[1].endswith("; did you mean smote?")
    assert lines[2] == "resamplers.smote.k_neighbors: input should be a valid integer (got True)"
    assert lines[3].startswith("heads.logistic.c: unknown value; logistic takes C, ")
    assert lines[3].endswith("; did you mean C?")


def test_a_head_of_several_classes_is_refused_for_labels():
    of = given({"one": {"resampler": "none", "head": {"name": "ordinal"}}}, task="multilabel")
    assert any(
        line == "arms.one.head: ordinal is for classes of which each image has one; with data.task: multilabel "
        "every label is a question of its own"
        for line in faults(of)
    )


def test_an_arm_that_there_is_not_is_named_with_the_nearest():
    with pytest.raises(PipelineError, match=r"there is no arm 'smote-logistik'.*did you mean smote-logistic\?"):
        named.find(given(), "smote-logistik")

"""Each check sees the fault that it is for, and a clean set raises nothing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features import checks
from pipeline.features.auditing import evidence as seen

IDS = [f"1.2.{number:03d}" for number in range(30)]
FOLDS = ("fold-0", "fold-1")


def run(evidence, thresholds):
    """The checks of this file; `run` itself where files were refused."""
    if evidence.refused:
        return checks.run(evidence, thresholds)
    return {name: checks.CHECKS[name](evidence, thresholds.get(name, 0)) for name in PLANTED}


def clean():
    rng = np.random.default_rng(0)
    pictures = pd.DataFrame({"image_id": IDS, "fingerprint": [f"f{number}" for number in range(30)]}, dtype="str")
    roles = pd.DataFrame(
        [
            (image, f"patient {place // 3}", fold, ("train", "val", "test")[(place // 3 + fold) % 3])
            for fold in (0, 1)
            for place, image in enumerate(IDS)
        ],
        columns=["image_id", "group", "fold", "role"],
    )
    inputs = {name: {"backbone": f"weights {name}", "pixels": "p", "render": "r"} for name in FOLDS}
    return checks.Evidence(
        features={name: rng.normal(size=(30, 8)).astype(np.float32) for name in FOLDS},
        rows=pictures.assign(view=0),
        pictures=pictures,
        expected=frozenset(IDS),
        roles=roles,
        made_from=inputs,
        on_disk=inputs,
    )


def with_features(change):
    evidence = clean()
    values = evidence.features["fold-1"].copy()
    change(values)
    return dataclasses.replace(evidence, features={**evidence.features, "fold-1": values})


def unreadable():
    return checks.Evidence(refused=["artifacts/features/fold-1.npy: its content is not what manifest.json says"])


def row_lost():
    evidence = clean()
    return dataclasses.replace(
        evidence,
        features={name: values[:-1] for name, values in evidence.features.items()},
        rows=evidence.rows.iloc[:-1],
        pictures=evidence.pictures.iloc[:-1],
    )


def two_rows_swapped():
    evidence = clean()
    order = [1, 0, *range(2, 30)]
    return dataclasses.replace(evidence, rows=evidence.rows.iloc[order].reset_index(drop=True))


def one_nan():
    return with_features(lambda values: values.__setitem__((4, 2), np.nan))


def six_dead_dimensions():
    return with_features(lambda values: values.__setitem__(np.s_[:, :6], 0.5))


def one_pair_of_twins():
    return with_features(lambda values: values.__setitem__(3, values[17]))


def patient_torn():
    evidence = clean()
    roles = evidence.roles.copy()
    roles.loc[(roles["fold"] == 1) & (roles["image_id"] == IDS[4]), "role"] = "train"
    return dataclasses.replace(evidence, roles=roles)


def other_weights():
    evidence = clean()
    return dataclasses.replace(
        evidence, on_disk={**evidence.on_disk, "fold-1": {**evidence.on_disk["fold-1"], "backbone": "retrained"}}
    )


def with_views(images=(2, 5), change=lambda rows: rows):
    """A clean set with an augmented view of each of these images after the others."""
    evidence = clean()
    rows = pd.concat([evidence.rows, evidence.rows.iloc[list(images)].assign(view=1)], ignore_index=True)
    rng = np.random.default_rng(1)
    more = {name: rng.normal(size=(len(images), 8)).astype(np.float32) for name in FOLDS}
    values = {name: np.concatenate([evidence.features[name], more[name]]) for name in FOLDS}
    return dataclasses.replace(evidence, features=values, rows=change(rows))


def drifted():
    drift = {"fold-0": {"rows": 16, "noise": 0.01}, "fold-1": {"rows": 16, "noise": 0.2}}
    return dataclasses.replace(clean(), drift=drift)


# By check: the fault, then verdict, value and images that it must give, and words of the sentence.
PLANTED = {
    "checksum": (unreadable, "invalid", 1, [], "fold-1.npy: its content is not what manifest.json says"),
    "row_count": (row_lost, "invalid", 1, [IDS[29]], "Without a feature row: 1;"),
    "order": (two_rows_swapped, "invalid", 2, IDS[:2], "different images: 2 of 30"),
    "finite": (one_nan, "invalid", 1, [IDS[4]], "Rows of fold-1.npy with NaN or infinity: 1."),
    "dead_dimensions": (
        six_dead_dimensions,
        "look",
        0.75,
        [],
        "of fold-1.npy that are the same for every image: 6 of 8",
    ),
    "duplicate_rows": (
        one_pair_of_twins,
        "look",
        2 / 30,
        [IDS[3], IDS[17]],
        "Rows of fold-1.npy that are equal to one of another image: 2 of 30",
    ),
    "patients_across_roles": (patient_torn, "invalid", 1, IDS[3:6], "val and test: 1 (fold 1)"),
    "provenance": (other_weights, "invalid", 1, [], "(fold-1: backbone)"),
    "drift": (drifted, "look", 0.2, [], "16 rows of fold-1.npy were embedded again"),
}
THRESHOLDS = {"dead_dimensions": 0.5, "duplicate_rows": 0.01, "drift": 0.1}


def test_a_clean_set_raises_nothing():
    found = run(clean(), THRESHOLDS)
    assert {finding.verdict for finding in found.values()} == {"ok"}
    assert all(finding.value == 0 and finding.rows == [] for finding in found.values())


@pytest.mark.parametrize("name", PLANTED)
def test_each_check_sees_the_planted_fault_and_the_others_stay_calm(name):
    plant, verdict, value, rows, words = PLANTED[name]
    found = run(plant(), THRESHOLDS)
    assert found[name].verdict == verdict
    assert found[name].value == pytest.approx(value)
    assert found[name].rows == rows
    assert words in found[name].finding
    assert {other for other, finding in found.items() if finding.verdict != "ok"} == {name}


def test_refused_files_leave_nothing_else_to_check():
    found = run(unreadable(), THRESHOLDS)
    assert list(found) == ["checksum"]
    assert found["checksum"].finding.endswith("Nothing else was checked.")


def test_a_share_at_the_threshold_is_still_ok():
    assert checks.CHECKS["dead_dimensions"](six_dead_dimensions(), 0.75).verdict == "ok"
    assert checks.CHECKS["dead_dimensions"](six_dead_dimensions(), 0.74).verdict == "look"


def test_features_that_are_all_dead_are_invalid_whatever_the_threshold():
    evidence = with_features(lambda values: values.fill(0))
    assert checks.CHECKS["dead_dimensions"](evidence, 1.0).verdict == "invalid"


def test_a_row_of_an_image_outside_the_split_and_a_second_row_are_counted():
    evidence = clean()
    rows = evidence.rows.copy()
    rows.loc[0, "image_id"] = "foreign"
    rows.loc[1, "image_id"] = IDS[2]
    finding = checks.CHECKS["row_count"](dataclasses.replace(evidence, rows=rows), 0)
    assert finding.rows == sorted([IDS[0], IDS[1], IDS[2], "foreign"])
    assert "Without a feature row: 2; with several: 1; feature rows of other images: 1." in finding.finding


def test_an_image_that_was_set_aside_after_the_split_is_not_missed():
    evidence = dataclasses.replace(row_lost(), expected=frozenset(IDS[:-1]))
    assert checks.CHECKS["row_count"](evidence, 0).verdict == "ok"


def test_the_same_image_with_other_contents_is_out_of_order():
    evidence = clean()
    pictures = evidence.pictures.copy()
    pictures.loc[7, "fingerprint"] = "exported again"
    assert checks.CHECKS["order"](dataclasses.replace(evidence, pictures=pictures), 0).rows == [IDS[7]]


def test_rows_beyond_the_end_of_the_pictures_are_out_of_order():
    evidence = dataclasses.replace(clean(), pictures=clean().pictures.iloc[:-2])
    assert checks.CHECKS["order"](evidence, 0).rows == IDS[28:]


def test_a_patient_in_another_role_of_another_fold_is_fine():
    roles = clean().roles.groupby("group")["role"].nunique()
    assert (roles > 1).all()
    assert checks.CHECKS["patients_across_roles"](clean(), 0).verdict == "ok"


@pytest.mark.parametrize("gone", ["made_from", "on_disk"])
def test_features_without_a_known_origin_are_invalid(gone):
    evidence = clean()
    short = {"fold-0": evidence.on_disk["fold-0"]}
    finding = checks.CHECKS["provenance"](dataclasses.replace(evidence, **{gone: short}), 0)
    assert finding.verdict == "invalid"
    assert "fold-1: backbone" in finding.finding


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_duplicates_are_exactly_the_rows_whose_values_occur_twice(values):
    ids = [str(number) for number in range(len(values))]
    evidence = checks.Evidence(
        features={"shared": np.array(values, np.float32)[:, None] * [1, 2]},
        rows=pd.DataFrame({"image_id": ids, "fingerprint": ids}, dtype="str").assign(view=0),
    )
    expected = sorted(ids[place] for place, value in enumerate(values) if values.count(value) > 1)
    finding = checks.CHECKS["duplicate_rows"](evidence, 0)
    assert finding.rows == expected
    assert finding.value == pytest.approx(len(expected) / len(values))


def test_augmented_views_after_the_pictures_raise_nothing():
    found = run(with_views(), THRESHOLDS)
    assert {finding.verdict for finding in found.values()} == {"ok"}
    assert found["row_count"].finding == (
        "All 30 images of the split have one feature row each, and there are 2 of augmented views."
    )


def test_views_of_one_image_may_have_its_features_and_those_of_another_may_not():
    evidence = with_views((2, 5))
    for values in evidence.features.values():
        values[30] = values[2]
    assert checks.CHECKS["duplicate_rows"](evidence, 0).value == 0
    evidence.features["fold-0"][31] = evidence.features["fold-0"][2]
    finding = checks.CHECKS["duplicate_rows"](evidence, 0)
    assert finding.value == pytest.approx(3 / 32)  # of image 2 the row and its view, and the view of image 5
    assert set(finding.rows) == {IDS[2], IDS[5]}


def test_a_view_that_stands_twice_or_without_its_image_is_counted():
    def twice(rows):
        rows.loc[31, "image_id"] = IDS[2]
        return rows

    def alone(rows):
        return rows.drop(2).reset_index(drop=True)

    assert checks.CHECKS["row_count"](with_views(change=twice), 0).rows == [IDS[2]]
    assert checks.CHECKS["row_count"](with_views(change=alone), 0).rows == [IDS[2]]


def test_a_view_before_the_pictures_or_of_other_contents_is_out_of_order():
    def of_an_older_file(rows):
        rows.loc[31, "fingerprint"] = "exported again"
        return rows

    def first(rows):
        return rows.iloc[[30, *range(30), 31]].reset_index(drop=True)

    assert checks.CHECKS["order"](with_views(change=of_an_older_file), 0).rows == [IDS[5]]
    assert checks.CHECKS["order"](with_views(change=first), 0).verdict == "invalid"


def test_the_worst_drift_of_all_files_is_shown_and_none_is_said():
    assert checks.CHECKS["drift"](drifted(), 0.1).value == 0.2
    assert checks.CHECKS["drift"](drifted(), 0.2).verdict == "ok"
    assert "embed.check: 0" in checks.CHECKS["drift"](clean(), 0.1).finding


def test_features_are_looked_at_in_parts_as_well_as_at_once(monkeypatch):
    whole = {name: run(plant(), THRESHOLDS) for name, (plant, *_) in PLANTED.items()}
    monkeypatch.setattr(seen, "AT_ONCE", 3 * 8 * 4)  # three rows
    assert {name: run(plant(), THRESHOLDS) for name, (plant, *_) in PLANTED.items()} == whole

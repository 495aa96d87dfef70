"""Twins, torn patients and backbones that have seen too much are found with their rows; clean sets raise nothing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from features.auditing.pictured import COUNT, clean, pictures, with_twin
from scipy.ndimage import zoom

from pipeline.features.auditing import leakage, twins


def brighter(picture):
    return np.clip(picture * 1.2 + 5, 0, 255).astype(np.uint8)


def moved(picture):
    return np.roll(picture, (2, -3), axis=(0, 1))


def saved_again(picture):
    rng = np.random.default_rng(1)
    return np.clip(picture + rng.normal(scale=4, size=picture.shape), 0, 255).astype(np.uint8)


def resized(picture):
    return zoom(zoom(picture.astype(float), 0.5), 2).clip(0, 255).astype(np.uint8)


def mirrored(picture):
    return picture[:, ::-1]


@pytest.mark.parametrize("seed", range(20))
def test_a_clean_set_raises_nothing(seed):
    evidence = clean(seed, folds=1 + seed % 2, colour=seed % 3 == 0)
    assert leakage.twins_across_roles(evidence, 0).verdict == "ok"
    assert leakage.twins_across_labels(evidence, 0).verdict == "ok"
    assert len(twins.twins(evidence).rows) == 0


def test_a_picture_of_the_same_bytes_in_two_roles_is_named_as_such():
    finding = leakage.twins_across_roles(with_twin(clean(), 0, 4), 0)
    assert (finding.verdict, finding.rows) == ("look", ["1.2.0000", "1.2.0004"])
    assert finding.value == pytest.approx(1 / (COUNT / 2))
    row = finding.table.iloc[0]
    assert (row["kind"], row["role"], row["other_role"], row["same_patient"]) == ("same bytes", "train", "val", False)
    assert (row["difference"], row["likeness"], row["fold"]) == (0, 1, 0)
    assert row["distance"] == pytest.approx(
        np.linalg.norm(0.05 / clean().features["shared"].std(axis=0) * np.ones(16)), rel=0.1
    )
    assert "1 pairs (1 same bytes), most of train and val" in finding.finding


@pytest.mark.parametrize("change", [brighter, moved, saved_again, resized])
def test_a_picture_that_was_changed_a_little_is_found(change):
    finding = leakage.twins_across_roles(with_twin(clean(), 0, 4, change), 0)
    assert finding.rows == ["1.2.0000", "1.2.0004"]
    assert finding.table["kind"].tolist() == ["alike"]
    assert finding.table["difference"].item() > 0


def test_pictures_of_sixteen_bits_and_of_one_brightness_are_compared_too():
    evidence = with_twin(clean(), 0, 4, saved_again)
    deep = pictures(evidence).astype(np.uint16) * 257
    deep[10:14] = 65535
    deep[13, :24] = 0
    finding = leakage.twins_across_roles(dataclasses.replace(evidence, take=lambda places: deep[places]), 0)
    assert finding.table[["image_id", "other_id", "kind"]].to_numpy().tolist() == [
        ["1.2.0010", "1.2.0012", "same bytes"],
        ["1.2.0011", "1.2.0012", "same bytes"],
        ["1.2.0000", "1.2.0004", "alike"],
    ]


def test_a_mirrored_picture_is_found_and_named_as_such():
    finding = leakage.twins_across_roles(with_twin(clean(), 0, 4, mirrored), 0)
    assert finding.table["kind"].tolist() == ["mirrored"]


def test_bytes_that_are_the_same_are_found_wherever_their_features_lie():
    far = with_twin(clean(), 0, 4, apart=50.0)
    assert leakage.twins_across_roles(far, 0).table["kind"].tolist() == ["same bytes"]
    assert leakage.twins_across_roles(with_twin(clean(), 0, 4, brighter, apart=50.0), 0).verdict == "ok"


def test_features_that_are_near_without_pictures_that_are_alike_are_no_twins():
    evidence = clean()
    values = evidence.features["shared"].copy()
    values[4] = values[0]
    assert leakage.twins_across_roles(dataclasses.replace(evidence, features={"shared": values}), 0).verdict == "ok"


def test_twins_of_one_patient_and_role_are_no_leak():
    assert leakage.twins_across_roles(with_twin(clean(), 0, 1), 0).verdict == "ok"
    assert leakage.twins_across_roles(with_twin(clean(), 0, 2), 0).verdict == "ok"  # two patients, both in training


def test_twins_that_are_in_one_role_in_the_first_fold_may_be_in_two_in_the_next():
    evidence = with_twin(clean(folds=2), 0, 2)
    finding = leakage.twins_across_roles(evidence, 0)
    assert finding.verdict == "look"
    row = finding.table.iloc[0]
    assert (row["fold"], row["role"], row["other_role"]) == (1, "train", "val")
    assert "images of fold 1" in finding.finding
    assert finding.figures["share_by_fold"]["0"] == 0


def test_many_copies_are_paired_with_one_of_each_role_and_not_all_with_all():
    evidence = clean()
    for other in range(1, 60):
        evidence = with_twin(evidence, 0, other)
    finding = leakage.twins_across_roles(evidence, 0)
    assert set(finding.rows) == {f"1.2.{number:04d}" for number in range(60)}
    assert len(finding.table) < 60 * 6
    assert finding.value == pytest.approx(0.5, abs=0.05)


def test_a_picture_with_two_labels_is_found_even_in_one_role():
    evidence = with_twin(clean(), 0, 2)  # A and B
    finding = leakage.twins_across_labels(evidence, 0)
    assert (finding.verdict, finding.rows) == ("look", ["1.2.0000", "1.2.0002"])
    assert finding.table[["label", "other_label"]].to_numpy().tolist() == [["A", "B"]]
    assert "most often A and B (1)" in finding.finding
    assert leakage.twins_across_labels(with_twin(clean(), 0, 4), 0).verdict == "ok"


def test_labels_that_are_not_known_contradict_nothing():
    evidence = with_twin(clean(), 0, 2)
    marks = np.zeros((COUNT, 2), np.int8)
    marks[0], marks[2] = (1, 0), (1, -1)
    several = dataclasses.replace(evidence, targets=marks)
    assert leakage.twins_across_labels(several, 0).verdict == "ok"
    marks[2, 0] = 0
    found = leakage.twins_across_labels(dataclasses.replace(evidence, targets=marks.copy()), 0)
    assert found.table[["label", "other_label"]].fillna("").to_numpy().tolist() == [["A", ""]]


def test_augmented_views_are_no_twins_of_their_picture():
    evidence = clean()
    rows = pd.concat([evidence.rows, evidence.rows.iloc[:8].assign(view=1)], ignore_index=True)
    values = np.concatenate([evidence.features["shared"], evidence.features["shared"][:8]])
    targets = np.concatenate([evidence.targets, evidence.targets[:8]])
    more = dataclasses.replace(evidence, rows=rows, features={"shared": values}, targets=targets)
    assert leakage.twins_across_roles(more, 0).verdict == "ok"


def test_without_pictures_rows_of_the_same_features_are_found():
    evidence = dataclasses.replace(clean(), take=None, imported=True)
    assert "there are no pictures to compare" in leakage.twins_across_roles(evidence, 0).finding
    values = evidence.features["shared"].copy()
    values[4] = values[0]
    finding = leakage.twins_across_roles(dataclasses.replace(evidence, features={"shared": values}), 0)
    assert finding.rows == ["1.2.0000", "1.2.0004"]
    assert finding.table["kind"].tolist() == ["same features"]


def test_an_image_without_a_picture_does_not_move_the_others():
    evidence = with_twin(clean(), 1, 4)
    lost = dataclasses.replace(evidence, rows=evidence.rows.assign(image_id=["lost", *evidence.rows["image_id"][1:]]))
    assert leakage.twins_across_roles(lost, 0).rows == ["1.2.0001", "1.2.0004"]


def two_folds(trained_on):
    evidence = clean(folds=2)
    values = evidence.features["shared"]
    return dataclasses.replace(
        evidence,
        features={"fold-0": values, "fold-1": values},
        made_from={"fold-0": {"split": trained_on}, "fold-1": {"split": "of fold 1"}},
        on_disk={"fold-0": {"split": "of fold 0"}, "fold-1": {"split": "of fold 1"}},
    )


def test_a_backbone_of_another_fold_has_seen_rows_and_they_are_named():
    assert leakage.trained_on_held_out(two_folds("of fold 0"), 0).verdict == "ok"
    finding = leakage.trained_on_held_out(two_folds("of fold 1"), 0)
    expected = [f"1.2.{n:04d}" for n in range(COUNT) if n // 2 % 4 == 3]  # test in fold 0, training in fold 1
    assert (finding.verdict, finding.rows) == ("invalid", expected)
    assert "The backbone of fold-0.npy was trained on the training rows of fold-1" in finding.finding


def test_a_backbone_of_an_unknown_split_may_have_seen_every_row():
    finding = leakage.trained_on_held_out(two_folds("of last week"), 0)
    assert finding.value == COUNT / 2
    assert "at most: 60" in finding.finding


def test_a_backbone_that_was_not_trained_has_seen_nothing():
    finding = leakage.trained_on_held_out(clean(), 0)
    assert (finding.verdict, finding.finding) == ("ok", "The backbone was not trained on any of these images.")

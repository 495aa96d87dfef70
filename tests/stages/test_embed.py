"""The embed stage on files as the other stages leave them: what is computed, what is kept, what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, params, provenance, storage
from pipeline.backbone import encode, inputs, models
from pipeline.errors import PipelineError
from pipeline.features import cache
from pipeline.stages import embed

REPOSITORY = Path(__file__).parents[2]
MODEL, SIDE = "test_resnet", 32  # timm's smallest
LABELS = "AAAAAAAABBBC"  # 8, 3 and 1; mean 4
ROLES = ("train", "train", "val", "test")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Pictures, splits of two folds and a backbone that both share, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "has_bf16", lambda where: False)
    shutil.copy(REPOSITORY / params.FILE, tmp_path)
    save_pictures(range(12))
    save_backbone("shared")
    return change(params.load(), batch_size=4, check=3)


def change(settings, **embedding):
    return dataclasses.replace(settings, embed=dataclasses.replace(settings.embed, **embedding))


def picture(number):
    patches = np.random.default_rng(number).integers(0, 256, (4, 4), dtype=np.uint8)
    return patches.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)


def save_pictures(numbers, render="r", exported=(), columns=None):
    """Index, splits and pictures of these images; those that were exported again have another fingerprint."""
    numbers = list(numbers)
    ids = [f"1.2.{number:03d}" for number in numbers]
    text = {name: [""] * len(ids) for name, kind in artifacts.INDEX_COLUMNS.items() if kind == "str"}
    whole = {name: [0] * len(ids) for name, kind in artifacts.INDEX_COLUMNS.items() if kind != "str"}
    index = pd.DataFrame({**text, **whole, "image_id": ids, **(columns or {})}).assign(
        label=[LABELS[number % 12] for number in numbers],
        group=[f"g{number}" for number in numbers],
        fingerprint=[f"f{number}{'again' * (number in exported)}" for number in numbers],
    )
    artifacts.save_index(index)
    splits = [
        (name, fold, ROLES[(number + 2 * fold) % 4])
        for fold in (0, 1)
        for number, name in zip(numbers, ids, strict=True)
    ]
    artifacts.save_splits(pd.DataFrame(splits, columns=list(artifacts.SPLITS_COLUMNS)), {})
    artifacts.PIXELS.mkdir(parents=True, exist_ok=True)
    with storage.file_atomic(artifacts.PIXELS / "00000.npy") as file:
        np.save(file, np.stack([picture(number + 100 * (number in exported)) for number in numbers]))
    shards = {"00000.npy": provenance.checksum(artifacts.PIXELS / "00000.npy")}
    rows = index[["image_id", "fingerprint"]].assign(shard=0, row=range(len(ids)), window="", crop="", mirrored=False)
    artifacts.save_pixels(rows, (SIDE, SIDE), np.dtype(np.uint8), shards, {"render": render}, [])


def save_backbone(name, seed=0):
    made = {"model": MODEL, "channels": 1, "size": SIDE, "classes": list("ABC")}
    model = models.create(MODEL, "none", 1, SIDE, 3, seed)
    artifacts.save_backbone(name, models.to_bytes(model), pd.DataFrame({"epoch": [0]}), {"params": made, "inputs": {}})


def truth(numbers, seed=0):
    """Features of the plain model, picture by picture."""
    model = models.create(MODEL, "none", 1, SIDE, 3, seed)
    encoder = encode.plain(model, picture(0)[None])
    stored = np.stack([picture(number) for number in numbers])
    return np.concatenate([v for _, v in encode.encode(encoder, stored.__getitem__, np.arange(len(stored)), 1)])


@pytest.fixture
def computed(monkeypatch):
    """Number of rows that the stage computed, run by run and backbone by backbone; without those of the drift check."""
    counts, original = [], encode.encode

    def spy(encoder, take, rows, batch_size, *rest):
        if batch_size > 1:
            counts.append(len(rows))
        return original(encoder, take, rows, batch_size, *rest)

    monkeypatch.setattr(encode, "encode", spy)
    return counts


def test_every_picture_has_the_features_of_the_plain_model_in_order(settings):
    embed.run(settings)
    features = artifacts.load_features()
    assert features.rows["image_id"].tolist() == [f"1.2.{number:03d}" for number in range(12)]
    assert features.rows["view"].tolist() == [0] * 12
    np.testing.assert_allclose(features.of_fold(1), truth(range(12)), rtol=1e-3, atol=1e-4)
    assert not cache.UNFINISHED.exists()


def test_a_shared_backbone_has_one_file_and_others_one_per_fold(settings):
    embed.run(settings)
    assert [path.name for path in artifacts.FEATURES.glob("*.npy")] == ["shared.npy"]
    shutil.rmtree(artifacts.BACKBONE)
    save_backbone("fold-0", 1)
    save_backbone("fold-1", 2)
    embed.run(settings)
    assert sorted(path.name for path in artifacts.FEATURES.glob("*.npy")) == ["fold-0.npy", "fold-1.npy"]
    features = artifacts.load_features()
    np.testing.assert_allclose(features.of_fold(1), truth(range(12), seed=2), rtol=1e-3, atol=1e-4)


def test_the_manifest_says_what_made_them_and_what_was_found(settings):
    embed.run(settings)
    manifest = json.loads((artifacts.FEATURES / "manifest.json").read_text())
    made = manifest["made_by"]["shared"]
    assert made["params"] == {"model": MODEL, "pooling": "pre-logits", "symmetry": "none", "dtype": "float32"}
    assert made["inputs"] == artifacts.feature_inputs("shared")
    assert set(made["inputs"]) == {"backbone", "render", "pixels"}
    assert set(made["packages"]) == {"torch", "timm", "numpy"}
    measured = manifest["measured"]["shared"]
    assert measured["precision"].startswith("no native bfloat16 here; float32 against plain float32 on 12 pictures")
    assert measured["drift"]["rows"] == 3
    assert measured["drift"]["noise"] < 0.001


def test_only_new_pictures_are_computed_and_old_rows_stay_as_they_are(settings, computed):
    save_pictures([0, 1, 3, 4, 6, 7])
    embed.run(settings)
    before = np.array(artifacts.load_features().of_fold(0))
    save_pictures(range(8))
    embed.run(settings)
    features = artifacts.load_features()
    assert computed == [6, 2]
    np.testing.assert_array_equal(features.of_fold(0)[[0, 1, 3, 4, 6, 7]], before)
    np.testing.assert_allclose(features.of_fold(0), truth(range(8)), rtol=1e-3, atol=1e-4)


def test_a_picture_of_another_file_is_computed_again_and_a_lost_one_is_dropped(settings, computed):
    embed.run(settings)
    save_pictures(range(1, 12), exported=[5])
    embed.run(settings)
    assert computed == [12, 1]
    features = artifacts.load_features().of_fold(0)
    np.testing.assert_allclose(features, truth([*range(1, 5), 105, *range(6, 12)]), rtol=1e-3, atol=1e-4)


def test_with_nothing_new_nothing_is_computed_and_what_was_found_is_kept(settings, computed):
    embed.run(settings)
    before = artifacts.load_features().manifest
    embed.run(settings)
    assert computed == [12, 0]
    assert artifacts.load_features().manifest == before


def test_other_weights_or_render_settings_make_every_row_new(settings, computed):
    embed.run(settings)
    save_backbone("shared", seed=1)
    embed.run(settings)
    np.testing.assert_allclose(artifacts.load_features().of_fold(0), truth(range(12), 1), rtol=1e-3, atol=1e-4)
    save_pictures(range(12), render="other")
    embed.run(settings)
    assert computed == [12, 12, 12]


def test_features_of_other_weights_or_pictures_are_refused_with_the_command_that_mends_it(settings):
    embed.run(settings)
    artifacts.load_features()
    save_backbone("shared", seed=1)
    with pytest.raises(
        PipelineError, match=r"shared.npy: was computed from other weights than .*\n.*run `dvc repro embed`"
    ):
        artifacts.load_features()
    save_pictures(range(11), render="other")
    with pytest.raises(PipelineError, match="from other pictures and render settings and weights than lie on disk now"):
        artifacts.load_features()
    assert len(artifacts.load_features(current=False).rows) == 12
    shutil.rmtree(artifacts.BACKBONE)
    shutil.rmtree(artifacts.PIXELS)
    assert len(artifacts.load_features().rows) == 12


@pytest.mark.parametrize("more", [0, 2])
def test_a_killed_run_is_taken_up_where_it_was_even_if_pictures_came_since(
    settings, computed, monkeypatch, more, tmp_path
):
    """A copy of the disk in the middle of a run is what a kill leaves."""
    monkeypatch.setattr(cache, "KEEP_EVERY", 0)
    original, seen = cache.Work.put, []

    def put(work, places, values):
        original(work, places, values)
        seen.append(len(places))
        if sum(seen) == 8:
            shutil.copytree(cache.UNFINISHED, tmp_path / "killed")

    save_pictures(range(10))
    with monkeypatch.context() as patch:
        patch.setattr(cache.Work, "put", put)
        embed.run(settings)
    shutil.rmtree(artifacts.FEATURES)
    shutil.copytree(tmp_path / "killed", cache.UNFINISHED)
    save_pictures(range(10 + more))
    embed.run(settings)
    assert computed == [10, 2 + more]
    np.testing.assert_allclose(artifacts.load_features().of_fold(0), truth(range(10 + more)), rtol=1e-3, atol=1e-4)
    assert not cache.UNFINISHED.exists()


def test_the_second_fold_can_fail_without_costing_the_first(settings, computed, monkeypatch):
    shutil.rmtree(artifacts.BACKBONE)
    save_backbone("fold-0", 1)
    save_backbone("fold-1", 2)
    load, calls = embed._model, []

    def fail(name):
        calls.append(name)
        if name == "fold-1":
            raise KeyboardInterrupt
        return load(name)

    with monkeypatch.context() as patch:
        patch.setattr(embed, "_model", fail)
        with pytest.raises(KeyboardInterrupt):
            embed.run(settings)
    embed.run(settings)
    assert computed == [12, 0, 12]


def with_views(settings, count=3, **amplitudes):
    augment = dataclasses.replace(settings.finetune.augment, **amplitudes)
    settings = dataclasses.replace(settings, finetune=dataclasses.replace(settings.finetune, augment=augment))
    return change(settings, views=count)


def test_views_are_of_training_pictures_of_minority_classes_and_follow_the_pictures(settings):
    """B and C are rarer than the mean; 10 is B, trains in fold 1 alone; 8, 9 and 11 train in a fold too."""
    embed.run(with_views(settings))
    rows = artifacts.load_features().rows
    numbers = rows["image_id"].str[-3:].astype(int)
    assert numbers.tolist() == [*range(12), *[8, 9, 10, 11] * 2]
    assert rows["view"].tolist() == [0] * 12 + [1] * 4 + [2] * 4
    assert rows["fingerprint"].tolist() == [f"f{number}" for number in numbers]


def test_an_image_that_never_trains_has_no_view(settings):
    splits = artifacts.load_splits()
    splits.loc[splits["image_id"] == "1.2.011", "role"] = "test"
    artifacts.save_splits(splits, {})
    embed.run(with_views(settings))
    rows = artifacts.load_features().rows
    assert "1.2.011" not in set(rows.loc[rows["view"] > 0, "image_id"])


@pytest.mark.parametrize("fold", [0, 1])
def test_views_have_no_part_in_validation_and_test(settings, fold):
    embed.run(with_views(settings))
    rows, splits = artifacts.load_features().rows, artifacts.load_splits()
    joined = artifacts.join_rows(rows, artifacts.load_index(), splits[splits["fold"] == fold], list("ABC"))
    view = rows["view"].to_numpy() > 0
    assert set(joined.loc[view, "role"]) == {"train", ""}
    assert set(joined.loc[~view, "role"]) == {"train", "val", "test"}


def test_views_differ_from_their_picture_and_stay_the_same_when_pictures_come(settings, computed):
    save_pictures(range(1, 12))
    embed.run(with_views(settings))
    before = artifacts.load_features()
    save_pictures(range(12))
    embed.run(with_views(settings))
    after = artifacts.load_features()
    assert computed == [11 + 2 * 4, 1]
    np.testing.assert_array_equal(after.of_fold(0)[-8:], before.of_fold(0)[-8:])
    own = after.of_fold(0)[[8, 9, 10, 11]]
    for view in (after.of_fold(0)[12:16], after.of_fold(0)[16:]):
        assert (np.abs(view - own).max(1) > 1e-3).all()


def test_one_view_more_or_other_amplitudes_leave_the_pictures_alone(settings, computed):
    embed.run(with_views(settings, 2))
    embed.run(with_views(settings, 3))
    embed.run(with_views(settings, 3, degrees=20.0))
    embed.run(with_views(settings, 3, degrees=20.0, minority=2.0))
    embed.run(with_views(settings, 3, degrees=20.0, minority=2.0, mixup=0.2))
    embed.run(settings)
    assert computed == [12 + 4, 4, 8, 8, 0, 0]
    assert len(artifacts.load_features().rows) == 12


def test_another_symmetry_makes_every_row_new_and_its_rows_are_checked_alike(settings, computed):
    embed.run(settings)
    before = artifacts.load_features().of_fold(0).copy()
    embed.run(change(settings, symmetry="turns"))
    assert computed == [12, 12]
    after = artifacts.load_features()
    assert not np.allclose(before, after.of_fold(0), rtol=1e-3)
    assert after.manifest["made_by"]["shared"]["params"]["symmetry"] == "turns"


def test_of_several_labels_one_rare_one_suffices_for_views(settings):
    present = {"label_x": [1] * 12, "label_y": [0] * 9 + [1, 1, -1]}
    save_pictures(range(12), columns=present)
    index = artifacts.load_index().assign(**present)
    artifacts.save_index(index)
    embed.run(with_views(settings, 2))
    rows = artifacts.load_features().rows
    assert rows.loc[rows["view"] > 0, "image_id"].tolist() == ["1.2.009", "1.2.010"]


def test_rows_that_are_no_longer_what_they_were_are_refused(settings):
    """As if they had been computed by other means than their provenance says."""
    save_pictures(range(11))
    embed.run(settings)
    features = artifacts.load_features()
    artifacts.save_features({"shared": features.of_fold(0)[::-1]}, features.rows, features.manifest["made_by"])
    save_pictures(range(12))
    with pytest.raises(
        PipelineError, match=r"(?s)12 rows were embedded again, alone.*delete artifacts/features and run"
    ):
        embed.run(change(settings, check=50))
    shutil.rmtree(artifacts.FEATURES)
    embed.run(change(settings, check=50))
    assert artifacts.load_features().manifest["measured"]["shared"]["drift"]["noise"] < 0.001


def test_without_a_check_no_row_is_embedded_again(settings):
    embed.run(change(settings, check=0))
    assert "drift" not in artifacts.load_features().manifest["measured"]["shared"]


def test_a_run_that_was_ended_before_its_check_is_checked_by_the_next(settings, computed, monkeypatch):
    def ended(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(embed, "_drift", ended)
        with pytest.raises(KeyboardInterrupt):
            embed.run(settings)
    assert not artifacts.FEATURES.exists()
    embed.run(settings)
    assert computed == [12, 0]
    assert artifacts.load_features().manifest["measured"]["shared"]["drift"]["rows"] == 3


def test_fewer_rows_than_are_asked_for_are_checked_all(settings):
    save_pictures(range(2))
    embed.run(change(settings, check=16))
    assert artifacts.load_features().manifest["measured"]["shared"]["drift"]["rows"] == 2


def test_a_class_that_becomes_a_minority_gets_views_and_one_that_is_none_any_more_loses_them(settings, computed):
    save_pictures([0, 1, 8, 9, 10])  # 2 A and 3 B
    embed.run(with_views(settings, 2))
    before = artifacts.load_features()
    assert before.rows.query("view > 0")["image_id"].tolist() == ["1.2.000", "1.2.001"]
    save_pictures(range(11))  # 8 A and 3 B
    embed.run(with_views(settings, 2))
    after = artifacts.load_features()
    assert after.rows.query("view > 0")["image_id"].tolist() == ["1.2.008", "1.2.009", "1.2.010"]
    assert computed == [5 + 2, 6 + 3]
    np.testing.assert_array_equal(after.of_fold(0)[[0, 1, 8, 9, 10]], before.of_fold(0)[:5])


def test_the_arithmetic_of_earlier_rows_is_kept_where_it_is_native(settings, computed, monkeypatch):
    save_pictures(range(10))
    embed.run(settings)
    monkeypatch.setattr(inputs, "has_bf16", lambda where: True)
    save_pictures(range(11))
    embed.run(settings)
    features = artifacts.load_features()
    assert computed == [10, 1]
    assert features.manifest["made_by"]["shared"]["params"]["dtype"] == "float32"
    assert features.manifest["measured"]["shared"]["precision"].startswith("no native bfloat16 here")


def test_bfloat16_rows_are_computed_again_where_it_is_not_native(settings, computed, monkeypatch):
    monkeypatch.setattr(encode, "MOST_NOISE", 0.2)  # random weights tell pictures barely apart
    monkeypatch.setattr(inputs, "has_bf16", lambda where: True)
    embed.run(settings)
    assert artifacts.load_features().manifest["made_by"]["shared"]["params"]["dtype"] == "bfloat16"
    embed.run(settings)
    monkeypatch.setattr(inputs, "has_bf16", lambda where: False)
    embed.run(settings)
    assert computed == [12, 0, 12]
    assert artifacts.load_features().manifest["made_by"]["shared"]["params"]["dtype"] == "float32"

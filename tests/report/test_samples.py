import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.artifacts import Pictures
from pipeline.report import samples

ROWS = pd.DataFrame(
    {
        "image_id": [f"1.2.{number}" for number in range(60)],
        "label": ["rare"] * 4 + ["common"] * 56,
        "group": ["p0", "p0", "p1", "p1", *(f"q{number // 2}" for number in range(56))],
    }
)


def decoded(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/webp;base64,"))))


def store(pictures: np.ndarray, ids: list[str], **columns) -> Pictures:
    rows = pd.DataFrame({"image_id": ids, "shard": 0, "row": range(len(ids)), "fingerprint": "f"})
    rows = rows.assign(**{"window": "40 / 80 LINEAR", "crop": "0,0,640,512", "mirrored": False, **columns})
    return Pictures(rows, {"shape": list(pictures.shape), "dtype": str(pictures.dtype)}, {0: pictures})


def index(ids: list[str], **columns) -> pd.DataFrame:
    usual = {
        "label": ["a", "b"] * (len(ids) // 2),
        "group": ids,
        "transfer_syntax": "RLE Lossless",
        "photometric": "MONOCHROME2",
        "rows": 640,
        "columns": 512,
    }
    return pd.DataFrame({"image_id": ids, **usual, **columns})


def test_a_frequent_class_has_no_more_pictures_than_six_and_no_patient_has_two():
    chosen = samples.choose(ROWS, ["common", "rare"])
    assert chosen["label"].tolist() == ["common"] * 6 + ["rare"] * 2
    assert not chosen[["label", "group"]].duplicated().any()


@given(st.permutations(range(60)))
def test_the_choice_depends_on_image_id_alone(order):
    chosen = samples.choose(ROWS.iloc[list(order)], ["common", "rare"])
    assert chosen["image_id"].tolist() == samples.choose(ROWS, ["common", "rare"])["image_id"].tolist()


def test_the_choice_is_not_the_first_by_image_id():
    assert samples.choose(ROWS, ["common", "rare"])["image_id"].tolist()[:6] != ROWS["image_id"].tolist()[4:10]


@pytest.mark.parametrize(("classes", "each"), [(2, 6), (13, 6), (40, 2), (200, 1)])
def test_many_classes_have_fewer_pictures_each_and_every_one_has_one(classes, each):
    names = [f"c{number}" for number in range(classes)]
    rows = pd.DataFrame({"label": np.repeat(names, 10)})
    rows["image_id"] = rows["group"] = [str(number) for number in rows.index]
    assert samples.choose(rows, names)["label"].value_counts().to_dict() == dict.fromkeys(names, each)


def test_a_picture_of_16_bits_looks_like_the_same_of_8():
    ramp = np.tile(np.arange(0, 224, 2, np.uint8), (112, 1))
    assert samples.inline(ramp.astype(np.uint16) << 8) == samples.inline(ramp)


@pytest.mark.parametrize(("side", "shown"), [(16, 16), (112, 112), (512, 128)])
def test_pictures_lie_within_the_page_in_colour_and_not_larger_than_needed(side, shown):
    picture = np.full((side, side, 3), (200, 40, 40), np.uint8)
    image = decoded(samples.inline(picture))
    assert image.size == (shown, shown)
    assert np.abs(np.asarray(image).astype(int) - (200, 40, 40)).max() <= 6


def test_each_picture_is_that_of_its_image_and_class():
    ids = [f"1.{number}" for number in range(4)]
    shades = np.repeat([10, 80, 150, 220], 16 * 16).reshape(4, 16, 16).astype(np.uint8)
    found = samples.of(index(ids[::-1], label=["a", "b", "b", "a"]), store(shades, ids), ["b", "a", "empty"])
    seen = {
        label: sorted(np.asarray(decoded(sample.source)).mean().round(-1) for sample in part)
        for label, part in found.classes.items()
    }
    assert list(found.classes) == ["b", "a"]
    assert seen == {"a": [10, 220], "b": [80, 150]}


def test_what_all_pictures_share_is_told_once_and_the_rest_below_each():
    ids = ["1.0", "1.1"]
    pictures = store(np.zeros((2, 16, 16), np.uint8), ids, crop=["0,0,640,512", "86,0,474,356"], mirrored=[False, True])
    found = samples.of(index(ids), pictures, ["a", "b"])
    assert found.common == ["RLE Lossless", "MONOCHROME2", "40 / 80 LINEAR"]
    assert [found.classes[name][0].facts for name in "ab"] == [
        ["640 × 512"],
        ["474 × 356 of 640 × 512", "mirrored"],
    ]


def test_a_store_without_windows_and_crops_tells_what_the_header_says():
    ids = ["1.0", "1.1"]
    found = samples.of(index(ids), store(np.zeros((2, 16, 16), np.uint8), ids, window="", crop=""), ["a", "b"])
    assert found.common == ["RLE Lossless", "MONOCHROME2", "640 × 512"]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", "JPEG Lossless"),
        ("JPEG Extended (Process 2 and 4)", "JPEG Extended"),
        ("JPEG 2000 Image Compression (Lossless Only)", "JPEG 2000 (Lossless Only)"),
        ("Explicit VR Little Endian", "Explicit VR Little Endian"),
        ("PNG", "PNG"),
    ],
)
def test_transfer_syntaxes_are_told_in_short(name, short):
    ids = ["1.0", "1.1"]
    pictures = store(np.zeros((2, 16, 16), np.uint8), ids)
    assert samples.of(index(ids, transfer_syntax=name), pictures, ["a", "b"]).common[0] == short


def test_the_pictures_of_13_classes_take_less_than_half_a_megabyte():
    ids = [f"{number:03}" for number in range(130)]
    noise = np.random.default_rng(0).normal(0, 12, (130, 112, 112, 3))
    tissue = np.outer(*[60 * np.sin(np.linspace(0, 9, 112)) + 100] * 2)[..., None] / 100 + noise
    pictures = store(np.clip(tissue, 0, 255).astype(np.uint8), ids)
    labels = [f"c{number % 13}" for number in range(130)]
    found = samples.of(index(ids, label=labels), pictures, sorted(set(labels)))
    sizes = [len(sample.source) for part in found.classes.values() for sample in part]
    assert len(sizes) == 78
    assert sum(sizes) < 500_000
    assert all(re.fullmatch(r"data:image/webp;base64,[\w+/=]+", part[0].source) for part in found.classes.values())

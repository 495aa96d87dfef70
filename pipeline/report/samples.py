"""A few pictures of each class, as the model sees them, small enough to lie within the page."""

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.artifacts import Pictures
from pipeline.report import tables

OF_CLASS = 6  # pictures of a class, at most
ALL = 96  # pictures of all classes together, unless there are more classes
LARGEST = 128  # side, pixels
QUALITY = 85  # of WebP: about 2 kB for a picture of 112 × 112


@dataclass(frozen=True)
class Sample:
    """A picture of the page: where it comes from and what is its own in how it was made."""

    source: str
    facts: list[str]


@dataclass(frozen=True)
class Samples:
    """Pictures of every class that has some, and what all of them have in common."""

    classes: dict[str, list[Sample]]
    common: list[str]


def of(index: pd.DataFrame, pictures: Pictures, classes: Sequence[str]) -> Samples:
    """Samples from the picture store, which has some, the same at each call."""
    rows = pictures.rows.assign(position=np.arange(len(pictures)))[
        ["image_id", "position", "window", "crop", "mirrored"]
    ].merge(tables.by_class(index, classes), on="image_id")
    chosen = choose(rows, classes)
    facts = [_facts(row) for row in tables.records(chosen)]
    shared = [
        fact for fact in dict.fromkeys(fact for row in facts for fact in row) if all(fact in row for row in facts)
    ]
    taken = pictures.take(chosen["position"].to_numpy())
    found: dict[str, list[Sample]] = {}
    for label, picture, row in zip(chosen["label"], taken, facts, strict=True):
        sample = Sample(inline(picture), [fact for fact in row if fact not in shared])
        found.setdefault(label, []).append(sample)
    return Samples(found, shared)


def choose(rows: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Up to 6 rows of each class, of different patients, in the order of a hash of image_id.

    That order has nothing to do with who was examined when or where, as image_id itself may.

    Args:
        rows: image_id, label, group; an image of several labels has a row for each.
        classes: in order.
    """
    most = min(OF_CLASS, max(1, ALL // len(classes)))
    shuffled = rows.iloc[np.argsort([hashlib.blake2b(name.encode()).digest() for name in rows["image_id"]])]
    firsts = shuffled.drop_duplicates(["label", "group"])
    parts = [firsts[firsts["label"] == name].head(most) for name in classes]
    return pd.concat(parts, ignore_index=True)


def inline(picture: np.ndarray) -> str:
    """A picture (H, W) or (H, W, 3), uint8 or uint16, as a data URI, not larger than 128 × 128."""
    shown = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    image, buffer = Image.fromarray(shown).convert("RGB"), io.BytesIO()
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    image.save(buffer, "WEBP", quality=QUALITY, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _facts(row: Mapping[str, Any]) -> list[str]:
    """The other labels, transfer syntax, photometric interpretation, window and crop in words."""
    syntax = re.sub(r",.*| \(Process.*| Image Compression", "", row["transfer_syntax"])
    whole = f"{row['rows']} × {row['columns']}"
    crop = whole
    if row["crop"]:
        height, width = row["crop"].split(",")[2:]
        crop = whole if {height, width} == {str(row["rows"]), str(row["columns"])} else f"{height} × {width} of {whole}"
    others = [f"with {row['others']}"] if row["others"] else []
    facts = [*others, syntax, row["photometric"], row["window"], crop, "mirrored" if row["mirrored"] else ""]
    return [fact for fact in facts if fact]

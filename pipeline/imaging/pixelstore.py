"""The picture store: which pictures are kept, which are rendered, and how a shard is written.

A shard NNNNN.npy is written by one worker, which then writes NNNNN.json beside it: what the shard holds and what made
it. A run that is killed leaves these pairs, and the next run takes them over. The store in force is the one that
manifest.json names; a new manifest is written at the end, and then the rest is deleted.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, provenance, storage
from pipeline.errors import PipelineError
from pipeline.imaging import fingerprint, picture
from pipeline.imaging.picture import Look

KEYS = ["image_id", "fingerprint"]


@dataclass(frozen=True)
class Item:
    """A picture to write: copied from a row of an old shard, or rendered from its file where there is none."""

    image_id: str
    fingerprint: str
    path: str
    frame: int = 1
    shard: int = -1
    row: int = -1


@dataclass(frozen=True)
class Shard:
    """A shard to write."""

    number: int
    items: list[Item]


@dataclass(frozen=True)
class Refusal:
    """An image that can't be rendered; `lasting` if only other bytes or another version could change that."""

    image_id: str
    fingerprint: str
    reason: str
    remedy: str
    lasting: bool = True


@dataclass(frozen=True)
class Held:
    """Pictures that exist.

    Attributes:
        rows: image_id, fingerprint, shard, row.
        checksums: by shard.
        refused: images that can't be rendered.
    """

    rows: pd.DataFrame = field(default_factory=lambda: _rows([]))
    checksums: dict[int, str] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


def join(parts: Iterable[Held]) -> Held:
    """The pictures of all."""
    parts = list(parts)
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    checksums = {number: value for part in parts for number, value in part.checksums.items()}
    return Held(rows, checksums, [row for part in parts for row in part.refused])


def load_held(made_by: Mapping[str, Any]) -> Held:
    """Pictures of killed runs and of the store in force, as far as they were made by the same."""
    companions = sorted(artifacts.PIXELS.glob("[0-9]*.json"))
    held = [Held(), *(_read_companion(path, _digest(made_by)) for path in companions)]
    try:
        store = artifacts.load_pixels()
    except PipelineError:  # there is none, or it is damaged: made anew
        return join(held)
    if store.manifest["made_by"] != made_by:
        return join(held)
    checksums = {_number(name): value for name, value in store.manifest["files"].items() if name.endswith(".npy")}
    refused = [Refusal(**row) for row in store.manifest["refused"]]
    return join([*held, Held(store.rows[[*KEYS, "shard", "row"]], checksums, refused)])


def plan(index: pd.DataFrame, held: Held, size: int) -> tuple[Held, list[list[Item]]]:
    """What stays as it is, and the items of each shard to write.

    A shard stays if all of its pictures are still wanted. The pictures of other shards are copied to new ones, together
    with the new pictures; when there is such work, shards that are less than half full join in.

    Args:
        index: image_id, fingerprint, path.
        held: what exists.
        size: pictures per new shard.
    """
    pairs = set(zip(index["image_id"], index["fingerprint"], strict=True))
    refused = {pair: row for row in held.refused if (pair := (row.image_id, row.fingerprint)) in pairs}
    wanted = index[[*KEYS, "path", "frame"]].merge(held.rows.drop_duplicates(KEYS), on=KEYS, how="left")
    wanted = wanted.fillna({"shard": -1, "row": -1}).astype({"shard": "int64", "row": "int64"})
    wanted = wanted[[pair not in refused for pair in zip(wanted["image_id"], wanted["fingerprint"], strict=True)]]
    full = held.rows["shard"].value_counts()
    alive = wanted["shard"].value_counts().drop(-1, errors="ignore")
    whole = [number for number in alive.index if alive[number] == full[number]]
    if not wanted["shard"].isin(whole).all():
        whole = [number for number in whole if 2 * full[number] >= size]
    stays = wanted["shard"].isin(whole)
    rest = wanted[~stays].sort_values("image_id")
    items = [Item(*row) for row in rest[[*KEYS, "path", "frame", "shard", "row"]].itertuples(index=False, name=None)]
    kept = Held(wanted[stays].drop(columns="path"), {n: held.checksums[n] for n in whole}, list(refused.values()))
    return kept, [items[start : start + size] for start in range(0, len(items), size)]


def number(parts: Iterable[list[Item]]) -> list[Shard]:
    """Give each part a shard number that no file on disk has, so that the store in force is not touched."""
    taken = {_number(path.name) for path in artifacts.PIXELS.glob("[0-9]*")}
    free = (candidate for candidate in count() if candidate not in taken)
    return [Shard(candidate, items) for items, candidate in zip(parts, free, strict=False)]


def write(shard: Shard, folder: Path, root: Path, look: Look, made_by: Mapping[str, Any]) -> Held:
    """Write one shard and its companion; pictures that can't be rendered are left out and returned as refused."""
    path = folder / _name(shard.number)
    pictures = _Pictures(folder, root, look)
    rows: list[Item] = []
    refused: list[Refusal] = []
    with storage.file_atomic(path) as file:
        _write_header(file, len(shard.items), look.shape)
        for item in shard.items:
            found = pictures.get(item)
            if isinstance(found, Refusal):
                refused.append(found)
            else:
                file.write(found.tobytes())
                rows.append(item)
        file.seek(0)
        _write_header(file, len(rows), look.shape)
    images = [dataclasses.replace(item, shard=shard.number, row=row) for row, item in enumerate(rows)]
    held = Held(_rows(images), {shard.number: provenance.checksum(path)} if images else {}, refused)
    companion = {
        "made_by": _digest(made_by),
        "images": [[item.image_id, item.fingerprint] for item in images],
        "checksum": held.checksums.get(shard.number),
        "refused": [dataclasses.asdict(row) for row in refused if row.lasting],
    }
    storage.save_json(path.with_suffix(".json"), companion)
    return held


def save(held: Held, look: Look, made_by: Mapping[str, Any]) -> None:
    """Put the store in force that holds these pictures."""
    rows = held.rows.sort_values("image_id", ignore_index=True).assign(window="", crop="", mirrored=False)
    checksums = {_name(number): held.checksums[number] for number in sorted(held.checksums)}
    lasting = sorted((row for row in held.refused if row.lasting), key=lambda row: row.image_id)
    artifacts.save_pixels(rows, look.shape, checksums, made_by, [dataclasses.asdict(row) for row in lasting])


class _Pictures:
    """Pictures of items, each (H, W) or (H, W, 3) uint8; old shards stay mapped between calls."""

    def __init__(self, folder: Path, root: Path, look: Look) -> None:
        self.folder, self.root, self.look = folder, root, look
        self.old: dict[int, np.ndarray] = {}

    def get(self, item: Item) -> np.ndarray | Refusal:
        """Copied or rendered."""
        if item.shard < 0:
            return render_file(self.root / item.path, item, self.look)
        if item.shard not in self.old:
            self.old[item.shard] = np.load(self.folder / _name(item.shard), mmap_mode="r")
        return self.old[item.shard][item.row]


def render_file(path: Path, item: Item, look: Look) -> np.ndarray | Refusal:
    """Picture of a file in the shape of `look`, uint8, or why there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return Refusal(item.image_id, item.fingerprint, reason, "give yourself permission to read it", lasting=False)
    if fingerprint.of(io.BytesIO(content)) != item.fingerprint.partition(":")[0]:
        return Refusal(
            item.image_id,
            item.fingerprint,
            "changed after the scan",
            "leave the image folder as it is meanwhile",
            lasting=False,
        )
    try:
        return picture.show(content, item.path, item.frame, look).picture
    except PipelineError as error:
        return Refusal(item.image_id, item.fingerprint, error.what, error.remedy)
    except MemoryError:
        remedy = "lower engine.workers, or drop its row from the labels"
        return Refusal(item.image_id, item.fingerprint, "not enough memory", remedy, lasting=False)
    except Exception as error:  # whatever the damage makes a decoder stumble over; its text may hold header values
        remedy = "copy or export the file again, or drop its row from the labels"
        return Refusal(item.image_id, item.fingerprint, f"cannot be decoded: {type(error).__name__}", remedy)


def _write_header(file: Any, rows: int, shape: tuple[int, ...]) -> None:
    """Header of .npy; NumPy pads it so that its length does not depend on the number of rows."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)})


def _read_companion(path: Path, digest: str) -> Held:
    """What a finished shard of a killed run holds; nothing if something else made it or it is damaged."""
    content = json.loads(path.read_bytes())
    number, shard = _number(path.name), path.with_suffix(".npy")
    if content["made_by"] != digest:
        return Held()
    refused = [Refusal(**row) for row in content["refused"]]
    if not content["images"] or not shard.exists() or provenance.checksum(shard) != content["checksum"]:
        return Held(refused=refused)
    rows = [Item(image_id, mark, "", shard=number, row=row) for row, (image_id, mark) in enumerate(content["images"])]
    return Held(_rows(rows), {number: content["checksum"]}, refused)


def _rows(items: list[Item]) -> pd.DataFrame:
    cells = [(item.image_id, item.fingerprint, item.shard, item.row) for item in items]
    kinds = {"image_id": "str", "fingerprint": "str", "shard": "int64", "row": "int64"}
    return pd.DataFrame(cells, columns=list(kinds)).astype(kinds)


def _digest(made_by: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def _name(number: int) -> str:
    return f"{number:05d}.npy"


def _number(name: str) -> int:
    return int(name.partition(".")[0])

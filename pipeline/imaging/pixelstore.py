"""The picture store on disk: what is there, what a killed run left of use, and what is put in force.

The store in force is the one that manifest.json names; its files are not touched before another manifest takes its
place. Beside it lie the finished pairs of shard and companion of a run that was killed. Those that the present plan
asks for are accepted; the pictures of others are moved aside, to be copied from.
"""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import artifacts, provenance
from pipeline.errors import PipelineError
from pipeline.imaging import plan
from pipeline.imaging.picture import Look
from pipeline.imaging.plan import FACTS, KEYS, Refusal, Shard, Store

ASIDE = "left-"


def load(made_by: Mapping[str, Any], limit: float) -> Store:
    """The store in force, as far as it was made by the same.

    Args:
        made_by: provenance that pictures must have to be of use.
        limit: seconds for an image; those that took longer than another limit get another try.
    """
    artifacts.mend_pixels()
    taken = frozenset(_number(name) for name in artifacts.pixel_files() if name.endswith(".npy"))
    try:
        pictures = artifacts.load_pixels()
    except PipelineError:  # there is none, or it is damaged: made anew
        return Store(taken=taken)
    if pictures.manifest["made_by"] != made_by:
        return Store(taken=taken)
    files = pictures.manifest["files"].items()
    checksums = {_number(name): checksum for name, checksum in files if name.endswith(".npy")}
    refused = [Refusal(**row) for row in pictures.manifest["refused"]]
    rows = pictures.rows.astype(plan.ROWS)
    return Store(rows, checksums, [row for row in refused if row.limit in (None, limit)], taken)


def resume(rest: pd.DataFrame, taken: frozenset[int], digest: str, limit: float) -> list[Shard]:
    """The shards of a plan that are still to be written, with what can be copied from other finished work.

    Args:
        rest: second part of a plan.
        taken: numbers of the store in force.
        digest: of the provenance.
        limit: seconds for an image.
    """
    left = {stem: pair for stem, pair in _leftovers(digest) if stem not in {f"{number:05d}" for number in taken}}
    todo = []
    for shard in plan.cut(rest):
        pair = left.get(f"{shard.number:05d}")
        if pair is not None and pair.answers(shard, limit):
            del left[f"{shard.number:05d}"]
        else:
            todo.append(shard)
    return _with_sources(todo, [_move_aside(pair) for pair in left.values()], limit)


def collect(kept: Store, rest: pd.DataFrame) -> Store:
    """The pictures of a plan whose shards are all written."""
    tables, checksums, refused = [kept.rows], dict(kept.checksums), list(kept.refused)
    for number in rest["number"].unique():
        pair = _read(artifacts.PIXELS / plan.name(number))
        refused += pair.refused
        if pair.images:
            tables.append(pair.table().assign(shard=number))
            checksums[number] = pair.checksum
    rows = pd.concat(tables, ignore_index=True).astype(plan.ROWS)
    return Store(rows.sort_values("image_id", ignore_index=True), checksums, refused, kept.taken)


def save(store: Store, look: Look, made_by: Mapping[str, Any]) -> None:
    """Put a store in force."""
    checksums = {plan.name(number): store.checksums[number] for number in sorted(store.checksums)}
    lasting = sorted((row for row in store.refused if row.lasting), key=lambda row: row.image_id)
    refused = [asdict(row) for row in lasting]
    artifacts.save_pixels(store.rows, look.shape, look.dtype, checksums, made_by, refused)


@dataclass(frozen=True)
class _Pair:
    """A finished shard, as its companion tells: `images` are image_id, fingerprint, window, crop, mirrored."""

    path: Path
    checksum: str
    images: list[list[Any]]
    refused: list[Refusal]

    def answers(self, shard: Shard, limit: float) -> bool:
        """Whether another run would write this shard again as it is."""
        if not all(_stands(row, limit) for row in self.refused):
            return False
        refused = {row.pair for row in self.refused}
        images = [(image_id, mark) for image_id, mark, *_ in self.images]
        planned = list(shard.rows[KEYS].itertuples(index=False, name=None))
        return len(planned) == len(images) + len(refused) and [row for row in planned if row not in refused] == images

    def table(self) -> pd.DataFrame:
        """Its pictures: image_id, fingerprint, the facts, and the row."""
        return pd.DataFrame(self.images, columns=[*KEYS, *FACTS]).assign(row=range(len(self.images)))


def _read(path: Path) -> _Pair:
    content = json.loads(path.with_suffix(".json").read_bytes())
    return _Pair(path, content["checksum"], content["images"], [Refusal(**row) for row in content["refused"]])


def _leftovers(digest: str) -> Iterator[tuple[str, _Pair]]:
    """Undamaged pairs with this provenance, by the stem of their names."""
    companions = [path for pattern in ("[0-9]*.json", f"{ASIDE}*.json") for path in artifacts.PIXELS.glob(pattern)]
    with ThreadPoolExecutor() as threads:  # hashing leaves the interpreter's lock
        for pair in threads.map(lambda path: _checked(path, digest), sorted(companions)):
            if pair is not None:
                yield pair.path.stem, pair


def _checked(companion: Path, digest: str) -> _Pair | None:
    shard = companion.with_suffix(".npy")
    try:
        content = json.loads(companion.read_bytes())
        if content["made_by"] != digest or not shard.exists() or provenance.checksum(shard) != content["checksum"]:
            return None
        return _read(shard)
    except (ValueError, KeyError, TypeError):  # damaged, or nothing that a shard's writer wrote
        return None


def _move_aside(pair: _Pair) -> _Pair:
    """Clear the number for the plan; the companion goes first, since a shard alone is no finished work."""
    aside = pair.path.with_name(f"{ASIDE}{pair.checksum[:16]}.npy")
    for suffix in (".json", ".npy"):
        os.replace(pair.path.with_suffix(suffix), aside.with_suffix(suffix))
    return replace(pair, path=aside)


def _with_sources(shards: list[Shard], pairs: list[_Pair], limit: float) -> list[Shard]:
    """The shards, with what can be taken from finished work of another plan."""
    known = {row.pair: row for pair in pairs for row in pair.refused if _stands(row, limit)}
    tables = [pair.table().assign(source=pair.path.name) for pair in pairs if pair.images]
    if not shards or not (known or tables):
        return shards
    rows = pd.concat([shard.rows for shard in shards], ignore_index=True)
    if tables:
        rows = _copied(rows, pd.concat(tables, ignore_index=True).drop_duplicates(KEYS))
    pairs_of = (shard.rows[KEYS].itertuples(index=False, name=None) for shard in plan.cut(rows))
    refused = [[known[pair] for pair in pairs if pair in known] for pairs in pairs_of]
    return [replace(shard, refused=of) for shard, of in zip(plan.cut(rows), refused, strict=True)]


def _copied(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The rows, with the source, the row and the facts of those pictures that would be rendered and are found."""
    joined = rows[KEYS].merge(found, on=KEYS, how="left")
    use = (rows["source"] == "") & joined["source"].notna()
    columns = ["source", "row", *FACTS]
    taken = {column: rows[column].mask(use, joined[column]).astype(rows[column].dtype) for column in columns}
    return rows.assign(**taken)


def _stands(row: Refusal, limit: float) -> bool:
    """Whether an image need not be tried again."""
    return row.lasting and row.limit in (None, limit)


def _number(name: str) -> int:
    return int(name.partition(".")[0])

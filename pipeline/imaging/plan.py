"""Which pictures stay where they are, and in which shard each other one comes to lie.

A pure function of the index, of the store in force and of the size of a shard. What a killed run left saves work, but
changes nothing here: so the store that comes out in the end is the same, byte for byte, as if no run had been killed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice, pairwise

import numpy as np
import pandas as pd

KEYS = ["image_id", "fingerprint"]
FACTS = ["window", "crop", "mirrored"]
ROWS = {
    "image_id": "str",
    "fingerprint": "str",
    "shard": "int64",
    "row": "int64",
    "window": "str",
    "crop": "str",
    "mirrored": "bool",
}


@dataclass(frozen=True)
class Refusal:
    """An image that can't be rendered.

    Attributes:
        image_id: of the image.
        fingerprint: of its content.
        reason: what is wrong.
        remedy: what the user can do.
        lasting: whether only other bytes or another version could change that.
        limit: seconds that the image was given, if it took longer; with another limit it is tried again.
    """

    image_id: str
    fingerprint: str
    reason: str
    remedy: str
    lasting: bool = True
    limit: float | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """What identifies the content of an image."""
        return self.image_id, self.fingerprint


def no_rows() -> pd.DataFrame:
    """A table of pictures without any."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in ROWS.items()})


@dataclass(frozen=True)
class Store:
    """Pictures that exist.

    Attributes:
        rows: columns ROWS, one row per picture.
        checksums: by shard.
        refused: images that can't be rendered.
        taken: numbers of all shards of the store, also of those that can't be used.
    """

    rows: pd.DataFrame = field(default_factory=no_rows)
    checksums: dict[int, str] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    taken: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Shard:
    """A shard to write.

    Attributes:
        number: of the shard.
        rows: image_id, fingerprint, path, frame, the facts of a picture, and where it is to be copied from: source
            (name of a file beside the shard, empty for a picture that is to be rendered) and row.
        refused: images among them that are known to have no picture.
    """

    number: int
    rows: pd.DataFrame
    refused: list[Refusal] = field(default_factory=list)


def plan(index: pd.DataFrame, store: Store, size: int) -> tuple[Store, pd.DataFrame]:
    """What stays as it is, and what is to be written.

    A shard stays if all of its pictures are still wanted. The pictures of other shards are copied to new ones, together
    with the new pictures; when there is such work, shards that are less than half full join in. New shards take the
    numbers that the store in force leaves free.

    Args:
        index: image_id, fingerprint, path, frame.
        store: the one in force.
        size: pictures per new shard.

    Returns:
        The part of the store that stays, and the columns of a Shard's rows with the number of the shard, in order.
    """
    refused = _still_wanted(store.refused, index)
    wanted = index.loc[~index["image_id"].isin([row.image_id for row in refused]), [*KEYS, "path", "frame"]]
    wanted = wanted.merge(store.rows, on=KEYS, how="left")
    wanted = wanted.fillna({"shard": -1, "row": -1, "window": "", "crop": "", "mirrored": False}).astype(ROWS)
    stays = wanted["shard"].isin(_whole(wanted["shard"], store.rows["shard"], size))
    rest = wanted[~stays].sort_values("image_id", ignore_index=True)
    free = (number for number in count() if number not in store.taken)
    numbers = np.repeat(list(islice(free, -(-len(rest) // size))), size)[: len(rest)]
    sources = {number: name(number) for number in store.taken} | {-1: ""}
    rest = rest.assign(source=rest["shard"].map(sources).astype("str"), number=numbers.astype("int64"))
    kept = wanted.loc[stays, list(ROWS)]
    checksums = {number: store.checksums[number] for number in kept["shard"].unique()}
    return Store(kept, checksums, refused, store.taken), rest.drop(columns="shard")


def cut(rest: pd.DataFrame) -> Iterator[Shard]:
    """The shards of a plan; each holds a slice of the table."""
    numbers = rest["number"].to_numpy()
    for start, stop in pairwise(np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))):
        yield Shard(int(numbers[start]), rest.iloc[start:stop])


def name(number: int) -> str:
    """File of a shard."""
    return f"{number:05d}.npy"


def _still_wanted(refused: list[Refusal], index: pd.DataFrame) -> list[Refusal]:
    rows = index.loc[index["image_id"].isin([row.image_id for row in refused]), KEYS]
    pairs = set(rows.itertuples(index=False, name=None))
    return [row for row in refused if row.pair in pairs]


def _whole(wanted: pd.Series, held: pd.Series, size: int) -> list[int]:
    """Shards that stay; -1 in `wanted` stands for a picture that is in none."""
    full = held.value_counts()
    alive = wanted.value_counts().drop(-1, errors="ignore")
    whole = [number for number in alive.index if alive[number] == full[number]]
    if wanted.isin(whole).all():
        return whole
    return [number for number in whole if 2 * full[number] >= size]

"""Which rows computed earlier still serve, and how the computing of others goes on after it was ended."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import storage
from pipeline.artifacts import FEATURE_ROWS, ROOT, Features
from pipeline.errors import PipelineError

UNFINISHED = ROOT / "embedding"
KEEP_EVERY = 10.0  # seconds; what a power cut may cost
AT_ONCE = 2**28  # bytes of features in memory as rows are copied


@dataclass(frozen=True, eq=False)
class Source:
    """Features that were computed earlier.

    Attributes:
        values: (N, D) float32, memory-mapped.
        rows: columns FEATURE_ROWS.
        done: which rows have been computed, (N,) bool.
        made_by: provenance.
        note: what was found out when they were.
    """

    values: np.ndarray
    rows: pd.DataFrame
    done: np.ndarray
    made_by: Mapping[str, Any]
    note: Mapping[str, Any]


@dataclass(eq=False)
class Work:
    """Features that are being computed, on disk.

    Attributes:
        path: of `values`.
        values: (N, D) float32, memory-mapped, to be written to through `put`.
        done: rows that a run which is ended now would leave, (N,) bool, memory-mapped.
    """

    path: Path
    values: np.memmap
    done: np.memmap
    _waiting: list[np.ndarray] = field(default_factory=list)
    _kept_at: float = field(default_factory=time.monotonic)

    def put(self, places: np.ndarray, values: np.ndarray) -> None:
        """Enter the features of these rows."""
        self.values[places] = values
        self._waiting.append(places)
        if time.monotonic() - self._kept_at >= KEEP_EVERY:
            self.keep()

    def keep(self) -> None:
        """Values reach the disk before the word that they are there."""
        self.values.flush()
        for places in self._waiting:
            self.done[places] = True
        self.done.flush()
        self._waiting.clear()
        self._kept_at = time.monotonic()


def sources(name: str, cached: Features | None) -> list[Source]:
    """Where features of this name may be found: in those of the last run that ended well, and of one that did not."""
    found = []
    if cached is not None and name in cached.values:
        note = cached.manifest.get("measured", {}).get(name, {})
        whole = np.ones(len(cached.rows), bool)
        found.append(Source(cached.values[name], cached.rows, whole, cached.manifest["made_by"][name], note))
    unfinished = _load(name)
    return [*found, unfinished] if unfinished else found


def serving(found: Sequence[Source], made_by: Mapping[str, Any]) -> list[Source]:
    """The sources whose weights, render settings, code, packages and all else are those of `made_by`.

    But which pictures there were, since rows have their fingerprint; how views were made, which matters to the rows of
    views alone; and the arithmetic, if `made_by` leaves its `dtype` open.
    """
    wanted = _shared(made_by)
    any_dtype = "dtype" not in wanted["params"]
    return [source for source in found if _shared(source.made_by, without_dtype=any_dtype) == wanted]


def _shared(made_by: Mapping[str, Any], without_dtype: bool = False) -> dict[str, Any]:
    inputs = {key: value for key, value in made_by.get("inputs", {}).items() if key != "pixels"}
    left_out = "dtype" if without_dtype else ""
    params = {key: value for key, value in made_by.get("params", {}).items() if key != left_out}
    return {**made_by, "inputs": inputs, "params": params, "views": None}


def places(source: Source, rows: pd.DataFrame, made_by: Mapping[str, Any]) -> np.ndarray:
    """Position in a serving source of each row of `rows`, (N,) int, -1 where it is not there."""
    keys = [pd.MultiIndex.from_frame(table[list(FEATURE_ROWS)]) for table in (source.rows, rows)]
    found = keys[0].get_indexer(keys[1])
    found[~np.append(source.done, False)[found]] = -1
    if source.made_by.get("views") != made_by.get("views"):
        found[rows["view"].to_numpy() > 0] = -1
    return found


@contextmanager
def work(
    name: str,
    rows: pd.DataFrame,
    width: int,
    made_by: Mapping[str, Any],
    note: Mapping[str, Any],
    found: Sequence[Source],
) -> Iterator[Work]:
    """Features of `rows` to be completed; what is put is kept however the block ends.

    Args:
        name: of the features.
        rows: columns FEATURE_ROWS.
        width: D.
        made_by: provenance.
        note: to be found again in the Source that an ended run leaves.
        found: sources that serve.
    """
    folder = UNFINISHED / name
    left = _load(name)
    if left is None or left.made_by != made_by or not left.rows.equals(rows):
        _begin(folder, rows, width, made_by, note, found)
    opened = Work(
        folder / "values.npy",
        np.lib.format.open_memmap(folder / "values.npy", "r+"),
        np.lib.format.open_memmap(folder / "done.npy", "r+"),
    )
    try:
        yield opened
    finally:
        opened.keep()


def drop(name: str | None = None) -> None:
    """Forget what was left unfinished, of one name or of all."""
    shutil.rmtree(UNFINISHED / name if name else UNFINISHED, ignore_errors=True)


def _begin(
    folder: Path,
    rows: pd.DataFrame,
    width: int,
    made_by: Mapping[str, Any],
    note: Mapping[str, Any],
    found: Sequence[Source],
) -> None:
    with storage.folder_atomic(folder) as aside:
        values = np.lib.format.open_memmap(aside / "values.npy", "w+", np.float32, (len(rows), width))
        done = np.zeros(len(rows), bool)
        for source in found:
            kept = np.where(done, -1, places(source, rows, made_by))
            _copy(source.values, kept, values)
            done |= kept >= 0
        values.flush()
        np.save(aside / "done.npy", done)
        storage.save_parquet(aside / "rows.parquet", rows, FEATURE_ROWS)
        storage.save_json(aside / "made_by.json", {"made_by": made_by, "note": note})


def _copy(values: np.ndarray, kept: np.ndarray, into: np.ndarray) -> None:
    step = max(1, AT_ONCE // max(1, 4 * into.shape[1]))
    for start in range(0, len(kept), step):
        part = kept[start : start + step]
        into[start : start + step][part >= 0] = values[part[part >= 0]]


def _load(name: str) -> Source | None:
    folder = UNFINISHED / name
    try:
        said = storage.load_json(folder / "made_by.json", "embed")
        rows = storage.load_parquet(folder / "rows.parquet", FEATURE_ROWS, "embed")
        values, done = (np.load(folder / f"{file}.npy", mmap_mode="r") for file in ("values", "done"))
    except (PipelineError, OSError, EOFError, ValueError):  # there is none, or nothing that can be read
        return None
    whole = len(values) == len(done) == len(rows)
    return Source(values, rows, np.asarray(done), said["made_by"], said["note"]) if whole else None

"""How one shard is written.

A shard NNNNN.npy is written by one worker, which then writes its companion NNNNN.json: what the shard holds, what made
it, and what could not be rendered. The pair is finished work, also when the run is killed a moment later.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import provenance, storage
from pipeline.errors import PipelineError
from pipeline.imaging import fingerprint, picture, plan, quarantine
from pipeline.imaging.picture import Look
from pipeline.imaging.plan import Refusal, Shard
from pipeline.isolation import Died, Isolated, TimedOut

_FROM_OUTSIDE = (Died("SIGKILL"), Died("exit code 255"))  # the latter where the fork server is gone


@dataclass(frozen=True)
class Job:
    """A picture to render: frame `frame` of the file at `path`, which was `fingerprint` when it was scanned."""

    image_id: str
    fingerprint: str
    path: str
    frame: int
    root: Path
    look: Look


@dataclass(frozen=True)
class Picture:
    """A picture in the shape and type of the look, and its facts."""

    pixels: np.ndarray
    window: str
    crop: str
    mirrored: bool


def write(
    shard: Shard, folder: Path, root: Path, look: Look, made_by: str, decoder: Isolated[Job, Picture | Refusal]
) -> None:
    """Write one shard and its companion; images that can't be rendered are left out and stand in the companion.

    Args:
        shard: what to write.
        folder: of the picture store.
        root: folder of the images.
        look: of the pictures.
        made_by: digest of the provenance.
        decoder: of `render`.
    """
    path = folder / plan.name(shard.number)
    images: list[tuple[Any, ...]] = []
    refused: list[Refusal] = []
    with storage.file_atomic(path) as file:
        _write_header(file, len(shard.rows), look)
        for row, found in _pictures(shard, folder, root, look, decoder):
            if isinstance(found, Refusal):
                refused.append(found)
            else:
                file.write(found.pixels.tobytes())
                images.append((row.image_id, row.fingerprint, found.window, found.crop, found.mirrored))
        file.seek(0)
        _write_header(file, len(images), look)
    companion = {
        "made_by": made_by,
        "checksum": provenance.checksum(path),
        "images": images,
        "refused": [asdict(row) for row in refused],
    }
    storage.write_atomic(path.with_suffix(".json"), json.dumps(companion).encode())


def render(job: Job) -> Picture | Refusal:
    """The picture of an image, or why there is none."""
    refused = partial(Refusal, job.image_id, job.fingerprint)
    try:
        content, mark = _open(job.root / job.path)
    except OSError as error:
        return refused(f"cannot be read: {error.strerror}", quarantine.to_read(error), lasting=False)
    try:
        if mark != job.fingerprint.partition(":")[0]:
            return refused("changed after the scan", "leave the image folder as it is meanwhile", lasting=False)
        shown = picture.show(content, job.path, job.frame, job.look)
    except PipelineError as error:
        return refused(error.what, error.remedy)
    except Exception as error:  # whatever the damage makes a decoder stumble over
        reason, remedy = quarantine.of_error(error)
        return refused(reason, remedy, lasting=reason != quarantine.NO_MEMORY)
    if shown.picture.shape != job.look.shape:  # it would push all pictures behind it out of their places
        return refused(
            "in colour, where its header says grey", "export it again as RGB, or drop its row from the labels"
        )
    return Picture(shown.picture, shown.window, ",".join(map(str, shown.crop)), shown.mirrored)


def count_new(shard: Shard) -> int:
    """Images of a shard that are neither copied nor known to have no picture: those that `write` decodes."""
    return int((shard.rows["source"] == "").sum()) - len(shard.refused)


def digest(made_by: object) -> str:
    """Of the provenance of the store."""
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _open(path: Path) -> tuple[bytes | mmap, str]:
    """Content of a file, of which only what is needed is read, and its fingerprint.

    Kept for the next call: the frames of a file come one after the other.
    """
    with path.open("rb") as file:
        mark = fingerprint.of(file)
        return (mmap(file.fileno(), 0, access=ACCESS_READ) if file.seek(0, io.SEEK_END) else b""), mark


def _pictures(
    shard: Shard, folder: Path, root: Path, look: Look, decoder: Isolated[Job, Picture | Refusal]
) -> Iterator[tuple[Any, Picture | Refusal]]:
    """Each row with its picture, copied or rendered, or with why there is none."""
    known = {row.pair: row for row in shard.refused}
    rows: list[Any] = list(shard.rows.itertuples(index=False))
    new = [row for row in rows if not row.source and (row.image_id, row.fingerprint) not in known]
    jobs = [Job(row.image_id, row.fingerprint, row.path, row.frame, root, look) for row in new]
    rendered = (_again_if_killed(*pair, decoder) for pair in zip(jobs, decoder.map(jobs), strict=True))
    sources: dict[str, np.ndarray] = {}
    for row in rows:
        pair = row.image_id, row.fingerprint
        if pair in known:
            yield row, known[pair]
        elif row.source:
            if row.source not in sources:
                sources[row.source] = np.load(folder / row.source, mmap_mode="r")
            yield row, Picture(sources[row.source][row.row], row.window, row.crop, row.mirrored)
        else:
            yield row, _outcome(next(rendered), *pair)


def _again_if_killed(
    job: Job, found: Picture | Refusal | Died | TimedOut, decoder: Isolated[Job, Picture | Refusal]
) -> Picture | Refusal | Died | TimedOut:
    """A process that ended from outside, perhaps for the memory that others took, gets a second try."""
    return next(decoder.map([job])) if found in _FROM_OUTSIDE else found


def _outcome(found: Picture | Refusal | Died | TimedOut, image_id: str, mark: str) -> Picture | Refusal:
    """A crash is final, since another try would crash too, unless it came from outside the decoder."""
    if not isinstance(found, Died | TimedOut):
        return found
    limit = found.seconds if isinstance(found, TimedOut) else None
    lasting = found not in (*_FROM_OUTSIDE, Died("SIGBUS"))
    return Refusal(image_id, mark, *quarantine.of_end(found), lasting=lasting, limit=limit)


def _write_header(file: Any, rows: int, look: Look) -> None:
    """Header of .npy; NumPy pads it so that its length does not depend on the number of rows."""
    kind = np.lib.format.dtype_to_descr(look.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": (rows, *look.shape)})

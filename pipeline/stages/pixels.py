"""index.parquet and image files → the picture store."""

import logging
import os
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline import artifacts, engine, isolation, provenance
from pipeline.errors import PipelineError
from pipeline.imaging import picture, pixelstore, plan, shards, stored
from pipeline.imaging.picture import Look
from pipeline.imaging.plan import Refusal
from pipeline.imaging.quarantine import NO_MEMORY, count_reasons
from pipeline.params import Params

log = logging.getLogger(__name__)

PACKAGES = (
    *("imagecodecs", "numba", "numpy", "pillow", "pydicom", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg"),
    *("python-gdcm", "scipy"),
)
# Modules of the imaging room that shape a picture.
SHAPING = (
    *("codestream", "files", "fingerprint", "fullsize", "jpeg_lossless", "kernels", "palette", "picture"),
    *("quarantine", "render", "shards", "stored", "tone"),
)
SOURCES = [Path(picture.__file__).with_name(f"{name}.py") for name in SHAPING]


def run(params: Params) -> None:
    """Render what is new, keep what did not change."""
    index = artifacts.load_index()
    channels = 3 if index["photometric"].isin(stored.IN_COLOUR).any() else 1
    look = Look(**vars(params.render), channels=channels)
    made_by = provenance.of("pixels", vars(look), {}, PACKAGES, SOURCES)
    kept, rest = plan.plan(index, pixelstore.load(made_by, params.pixels.timeout), params.pixels.shard)
    _write(rest, kept.taken, look, shards.digest(made_by), params)
    store = pixelstore.collect(kept, rest)
    aside = _quarantine(index, store.refused)
    artifacts.save_quarantine("pixels", aside)
    if store.rows.empty:
        what = f"no picture could be made: {count_reasons(aside)}"
        raise PipelineError(params.data.images, what, f"see {artifacts.QUARANTINE}")
    pixelstore.save(store, look, made_by)
    log.info("pixels: %d pictures of %s", len(store.rows), " × ".join(map(str, look.shape)))
    log.info("set aside: %s", count_reasons(aside))
    _check(index, store.refused, params.data.max_quarantined)


def _write(rest: pd.DataFrame, taken: frozenset[int], look: Look, digest: str, params: Params) -> None:
    """Write the shards that no run has finished: a thread for each, which drives a decoder in a process of its own."""
    todo = pixelstore.resume(rest, taken, digest, params.pixels.timeout)
    new = sum(map(shards.count_new, todo))
    log.info("pixels: %d images to read", new)
    folder, root = artifacts.PIXELS.absolute(), Path(os.path.expanduser(params.data.images)).absolute()
    if new and not root.is_dir():
        raise PipelineError(root, "is no folder", "mend data.images, or mount what it names")
    memory = isolation.share_of_memory(engine.workers(params.engine.workers))
    with isolation.Isolated(shards.render, params.pixels.timeout, memory, picture.WARM) as decoder:
        write = partial(shards.write, folder=folder, root=root, look=look, made_by=digest, decoder=decoder)
        for _ in engine.map(write, todo, params.engine.workers, "pixels", threads=True):
            pass


def _check(index: pd.DataFrame, refused: list[Refusal], most: float) -> None:
    """Fail, after all is saved.

    If a file could not be read or changed meanwhile: a stage that succeeds is not run again when it is there. If there
    are too many: what is set aside is seldom a random part of the data.
    """
    passing = [row for row in refused if not row.lasting and row.reason != NO_MEMORY]
    if passing:
        first = min(_quarantine(index, passing), key=lambda row: row["path"])
        what = f"{len(passing)} of {len(index)} images could not be rendered: {first['reason']}"
        raise PipelineError(first["path"], what, f"{first['remedy']}; then `dvc repro`: finished work is kept")
    files = index[["image_id", "path"]].assign(lost=index["image_id"].isin([row.image_id for row in refused]))
    lost = files.groupby("path")["lost"].all()
    if lost.sum() > most * len(lost):
        reasons = count_reasons(_quarantine(index, refused))
        share = f"{lost.sum()} of {len(lost)} files ({lost.mean():.1%}) are set aside: {reasons}"
        remedy = f"see {artifacts.QUARANTINE} and mend the files, or raise data.max_quarantined (now {most:g})"
        raise PipelineError("data.max_quarantined", share, remedy)


def _quarantine(index: pd.DataFrame, refused: list[Refusal]) -> list[dict[str, str]]:
    """Rows of the quarantine table, in the order of image_id."""
    wanted = index[index["image_id"].isin([row.image_id for row in refused])]
    columns = wanted[["image_id", "path", "frame"]].itertuples(index=False)
    paths = {name: f"{path}#{frame}" if name.endswith(f"#{frame}") else path for name, path, frame in columns}
    ordered = sorted(refused, key=lambda row: row.image_id)
    return [{"path": paths[row.image_id], "reason": row.reason, "remedy": row.remedy} for row in ordered]

"""index.parquet and image files → the picture store."""

import logging
import os
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline import artifacts, engine, provenance
from pipeline.errors import PipelineError
from pipeline.imaging import codestream, files, fingerprint, kernels, picture, pixelstore, render, stored, tone
from pipeline.imaging.picture import Look
from pipeline.imaging.pixelstore import Held
from pipeline.imaging.quarantine import count_reasons
from pipeline.params import Params

log = logging.getLogger(__name__)

PACKAGES = (
    *("imagecodecs", "numba", "numpy", "pillow", "pydicom", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg"),
    *("python-gdcm", "scipy"),
)
MODULES = (codestream, files, fingerprint, kernels, picture, pixelstore, render, stored, tone)
SOURCES = [Path(str(module.__file__)) for module in MODULES]


def run(params: Params) -> None:
    """Render what is new, keep what did not change."""
    index = artifacts.load_index()
    channels = 1 if index["photometric"].str.startswith("MONOCHROME").all() else 3
    look = Look(**vars(params.render), channels=channels)
    made_by = provenance.of("pixels", vars(look), {}, PACKAGES, SOURCES)
    kept, parts = pixelstore.plan(index, pixelstore.load_held(made_by), params.pixels.shard)
    new = sum(item.shard < 0 for items in parts for item in items)
    folder, root = artifacts.PIXELS.absolute(), Path(os.path.expanduser(params.data.images)).absolute()
    write = partial(pixelstore.write, folder=folder, root=root, look=look, made_by=made_by)
    written = engine.map(write, pixelstore.number(parts), params.engine.workers, "pixels")
    store = pixelstore.join([kept, *written])
    quarantine = _quarantine(index, store)
    artifacts.save_quarantine("pixels", quarantine)
    if store.rows.empty:
        what = f"no picture could be made: {count_reasons(quarantine)}"
        raise PipelineError(params.data.images, what, f"see {artifacts.QUARANTINE}")
    pixelstore.save(store, look, made_by)
    log.info("pixels: %d pictures of %s, %d files read", len(store.rows), " × ".join(map(str, look.shape)), new)
    log.info("set aside: %s", count_reasons(quarantine))
    _check(index, store)


def _check(index: pd.DataFrame, store: Held) -> None:
    """Fail, after all is saved, if a refusal may pass: a stage that succeeds is not run again for a mended file."""
    passing = Held(refused=[row for row in store.refused if not row.lasting])
    if passing.refused:
        first = min(_quarantine(index, passing), key=lambda row: row["path"])
        what = f"{len(passing.refused)} of {len(index)} images could not be rendered: {first['reason']}"
        raise PipelineError(first["path"], what, f"{first['remedy']}; then `dvc repro`: finished work is kept")


def _quarantine(index: pd.DataFrame, store: Held) -> list[dict[str, str]]:
    paths = dict(zip(index["image_id"], index["path"], strict=True))
    return [{"path": paths[row.image_id], "reason": row.reason, "remedy": row.remedy} for row in store.refused]

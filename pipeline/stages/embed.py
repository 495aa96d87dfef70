"""pixels, backbone → features/."""

import logging
from typing import Any

import numpy as np

from pipeline import artifacts, engine, provenance
from pipeline.backbone import encode, inputs, models
from pipeline.errors import PipelineError
from pipeline.features import cache
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("torch", "timm", "numpy")
SOURCES = provenance.sources(__file__, models, inputs, encode, cache)


def run(params: Params) -> None:
    """Features of every picture with every backbone; rows whose picture and weights did not change are kept."""
    pictures = artifacts.load_pixels()
    rows = pictures.rows[["image_id", "fingerprint"]].assign(view=0)
    try:
        cached = artifacts.load_features()
    except PipelineError:
        cached = None
    values, made_by = {}, {}
    for name in artifacts.backbone_names():
        manifest = artifacts.load_backbone(name)
        made_by[name] = _made_by(manifest, pictures)
        kept = cache.reusable(cached, name, made_by[name], rows)
        new = np.flatnonzero(kept < 0)
        log.info("%s: %d rows kept, %d to compute", name, len(rows) - len(new), len(new))
        old = cached.values[name] if cached and len(new) < len(rows) else None
        computed = _encode(manifest["made_by"]["params"], name, pictures, new, params.embed.batch_size)
        values[name] = cache.merge(old, kept, computed)
    artifacts.save_features(values, rows, made_by)


def _made_by(manifest: dict[str, Any], pictures: artifacts.Pictures) -> dict[str, Any]:
    read = {
        "backbone": manifest["files"]["weights.safetensors"],
        "render": provenance.checksum_of_json(pictures.manifest["made_by"]),
        "pixels": pictures.manifest["files"]["rows.parquet"],
    }
    section = {"model": manifest["made_by"]["params"]["model"], "pooling": "pre-logits", "dtype": "float32"}
    return provenance.of("embed", section, read, PACKAGES, SOURCES)


def _encode(
    made: dict[str, Any], name: str, pictures: artifacts.Pictures, rows: np.ndarray, batch_size: int
) -> np.ndarray:
    weights = (artifacts.BACKBONE / name / "weights.safetensors").read_bytes()
    model = models.from_bytes(made["model"], made["channels"], made["size"], len(made["classes"]), weights)
    return encode.encode(
        model,
        pictures.take,
        rows,
        batch_size,
        lambda batches: engine.track(iter(batches), len(batches), f"{name}: batches"),
    )

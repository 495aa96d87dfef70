"""pixels, backbone → features/."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, engine, provenance
from pipeline.backbone import augment, encode, fuse, inputs, models, views
from pipeline.errors import PipelineError
from pipeline.features import cache
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("torch", "timm", "numpy")
SOURCES = provenance.sources(__file__, models, inputs, encode, fuse)
VIEW_SOURCES = provenance.sources(views, augment)
SAMPLE, SAMPLE_AGAIN = 32, 4  # pictures that decide on the arithmetic; and that confirm it when rows are added
MOST_DRIFT = 0.25  # noise (see encode.Agreement) above which a row is another one


def run(params: Params) -> None:
    """Features of every picture with every backbone; rows whose picture and weights did not change are kept.

    Raises:
        PipelineError: rows that are embedded again are not what they were.
    """
    pictures = artifacts.load_pixels()
    minority = _minority(params, pictures) if params.embed.views > 1 else np.empty(0, int)
    shown = _Shown(pictures, minority, params)
    try:
        cached = artifacts.load_features(current=False)
    except PipelineError:
        cached = None
    paths, made_by, measured = {}, {}, {}
    for name in artifacts.backbone_names():
        found = cache.sources(name, cached)
        paths[name], made_by[name], measured[name] = _embed(name, params, shown, found)
    artifacts.save_features(paths, shown.rows, made_by, measured)
    cache.drop()


@dataclasses.dataclass(frozen=True, eq=False)
class _Shown:
    """What is embedded: every picture, then the views of those of minority classes."""

    pictures: artifacts.Pictures
    minority: np.ndarray
    params: Params

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Columns FEATURE_ROWS."""
        table = self.pictures.rows[["image_id", "fingerprint"]].iloc[self.places].reset_index(drop=True)
        return table.assign(view=self.views).astype(artifacts.FEATURE_ROWS)

    @cached_property
    def places(self) -> np.ndarray:
        """Position of each row's picture, (N,) int."""
        return np.concatenate([np.arange(len(self.pictures)), *[self.minority] * (self.params.embed.views - 1)])

    @cached_property
    def views(self) -> np.ndarray:
        """Number of the view of each row, (N,) int."""
        numbers = np.repeat(np.arange(1, self.params.embed.views), len(self.minority))
        return np.concatenate([np.zeros(len(self.pictures), int), numbers])

    @cached_property
    def augment(self) -> dict[str, Any]:
        """Amplitudes and strength of the views.

        The strength is that of the rarest class, whatever the counts: new images change no view of another. A mixup
        takes two pictures, and so is none of one.
        """
        every = dataclasses.asdict(self.params.finetune.augment)
        strength = every.pop("minority")
        every.pop("mixup")
        return {"amplitudes": every, "strength": strength}

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Pictures at these positions of `rows`, augmented where they are views."""
        taken = self.pictures.take(self.places[positions])
        changed = np.flatnonzero(self.views[positions])
        if len(changed):
            which = self.rows.iloc[positions[changed]]
            taken[changed] = views.augmented(
                taken[changed], which["image_id"].tolist(), which["view"].tolist(), **self.augment
            )
        return taken


def _minority(params: Params, pictures: artifacts.Pictures) -> np.ndarray:
    """Positions of the pictures of minority classes that are training rows of some fold, (n,) int."""
    index, splits = artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    trained = splits.loc[splits["role"] == "train", "image_id"]
    joined = artifacts.join_rows(pictures.rows, index, splits.drop_duplicates("image_id"), classes)
    places = np.flatnonzero(joined["image_id"].isin(trained))
    chosen = places[views.of_minority(artifacts.targets(joined, classes)[places], len(classes))]
    log.info("%d pictures of minority classes get %d views more each", len(chosen), params.embed.views - 1)
    return chosen


def _embed(
    name: str, params: Params, shown: _Shown, found: Sequence[cache.Source]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Path, provenance and measurements of the features of one backbone."""
    model, symmetry = _model(name), params.embed.symmetry
    made_by, note, chosen = _decide(name, params, shown, model, found)
    encoder = encode.symmetric(chosen, symmetry)
    serving = cache.serving(found, made_by)
    with cache.work(name, shown.rows, encoder.width, made_by, note, serving) as work:
        todo = np.flatnonzero(~work.done)
        log.info("%s: %d rows kept, %d to compute", name, len(shown.rows) - len(todo), len(todo))
        for places, values in encode.encode(encoder, shown.take, todo, params.embed.batch_size, _watch(name)):
            work.put(places, values)
    if params.embed.check and (len(todo) or "drift" not in note):
        sure = encode.symmetric(encode.plain(model, shown.take(np.arange(1))), symmetry)
        note = {**note, "drift": _drift(name, params.embed.check, shown, sure, work)}
    return work.path, made_by, dict(note)


def _watch(name: str) -> Callable[[range], Any]:
    return lambda batches: engine.track(iter(batches), len(batches), f"{name}: batches")


def _decide(
    name: str, params: Params, shown: _Shown, model: models.TimmModel, found: Sequence[cache.Source]
) -> tuple[dict[str, Any], dict[str, Any], encode.Encoder]:
    """Provenance with the arithmetic, a note on why it is that, and the encoder.

    The arithmetic of rows that may serve is kept, where it is native: those of two of them are not mixed.
    """
    made_by = _made_by(name, shown, params.embed.symmetry)
    native = {"float32", *["bfloat16"] * inputs.has_bf16(inputs.device())}
    old = [source for source in cache.serving(found, made_by) if source.made_by["params"]["dtype"] in native]
    precision, size = (old[0].made_by["params"]["dtype"], SAMPLE_AGAIN) if old else (None, SAMPLE)
    sample = np.unique(np.linspace(0, len(shown.pictures) - 1, size).astype(int))
    encoder, why = encode.choose(model, shown.take(sample), params.embed.compile, precision)
    log.info("%s: computed in %s (%s)", name, encoder.precision, why)
    made_by["params"]["dtype"] = encoder.precision
    note = old[0].note if old and encoder.precision == precision else {"precision": why}
    return made_by, dict(note), encoder


def _made_by(name: str, shown: _Shown, symmetry: str) -> dict[str, Any]:
    manifest = artifacts.load_backbone(name)
    section = {"model": manifest["made_by"]["params"]["model"], "pooling": "pre-logits", "symmetry": symmetry}
    made_by = provenance.of("embed", section, artifacts.feature_inputs(name), PACKAGES, SOURCES)
    seen = provenance.of("views", shown.augment, {}, PACKAGES, VIEW_SOURCES) if shown.views.any() else None
    return {**made_by, "views": seen}


def _model(name: str) -> models.TimmModel:
    made = artifacts.load_backbone(name)["made_by"]["params"]
    weights = (artifacts.BACKBONE / name / "weights.safetensors").read_bytes()
    return models.from_bytes(made["model"], made["channels"], made["size"], len(made["classes"]), weights)


def _drift(name: str, count: int, shown: _Shown, sure: encode.Encoder, work: cache.Work) -> Mapping[str, Any]:
    """How far rows lie from themselves when each is embedded again, alone, by the plain model in float32."""
    rows = np.sort(np.random.default_rng(len(shown.rows)).permutation(len(shown.rows))[:count])
    again = encode.encode(sure, shown.take, rows, 1)
    found = encode.agreement(np.array(work.values[rows]), np.concatenate([values for _, values in again]))
    log.info("%s: %d rows embedded again, alone: %s", name, len(rows), found)
    if not found.noise <= MOST_DRIFT:
        cache.drop(name)
        raise PipelineError(
            artifacts.FEATURES / f"{name}.npy",
            f"{len(rows)} rows were embedded again, alone: one lies {found.noise:.2g} of the usual distance between "
            f"rows from where it was (at most {MOST_DRIFT}), so features depend on the batch they were computed in, or "
            "earlier rows were computed by other means",
            f"delete {artifacts.FEATURES} and run `dvc repro embed`; if it comes again, set embed.compile: false, or "
            "take another backbone.model",
        )
    return {"rows": len(rows), "noise": found.noise, "cosine": found.cosine, "most": MOST_DRIFT}

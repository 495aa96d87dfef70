"""index, splits, pixels, backbone, features → audit.json, audit/."""

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.features import checks
from pipeline.features.auditing.evidence import Evidence
from pipeline.inspection import invented, outcome
from pipeline.params import Params

log = logging.getLogger(__name__)
NUISANCES = ("manufacturer", "laterality", "view", "bits_stored", "burned_in")


def run(params: Params) -> None:
    """Check, write what was found, then fail if a check or verdict is one of audit.fail_on.

    Raises:
        PipelineError: names the checks that failed; nothing that was computed from these features holds.
    """
    outcome.refuse_unknown(params.audit.fail_on)
    evidence = _evidence(params)
    evidence = dataclasses.replace(evidence, synthetic=invented.synthetic(evidence, params))
    found = checks.run(evidence, dataclasses.asdict(params.audit))
    outcome.save(evidence, found)
    outcome.tell(found)
    remedy = (
        "run `dvc repro` if a stage is out of date; else delete the artifact that a line names and run it again; "
        "`python -m pipeline audit_page` shows all that was found"
    )
    try:
        outcome.stop(found, params.audit.fail_on, artifacts.AUDIT, remedy)
    except PipelineError:
        artifacts.AUDIT_PAGE.unlink(missing_ok=True)  # of an earlier audit, which says otherwise
        raise


def _evidence(params: Params) -> Evidence:
    refused: list[str] = []
    index, splits = artifacts.load_index(), artifacts.load_splits()
    pictures = _attempt(artifacts.load_pixels, refused)
    features = _attempt(lambda: artifacts.load_features(current=False), refused)
    backbones = {
        name: _attempt(lambda name=name: artifacts.load_backbone(name), refused) for name in artifacts.backbone_names()
    }
    if refused or pictures is None or features is None:
        return Evidence(refused=refused)
    classes, made_by = artifacts.classes(index, params.data.classes), features.manifest["made_by"]
    return Evidence(
        features=features.values,
        rows=features.rows,
        pictures=pictures.rows if len(pictures) else features.rows,
        imported=not len(pictures),
        expected=frozenset(splits["image_id"]) - _set_aside(index),
        roles=splits.merge(index[["image_id", "group"]], on="image_id"),
        made_from={name: made["inputs"] | _split_of(backbones.get(name)) for name, made in made_by.items()},
        on_disk={
            name: artifacts.feature_inputs(name) | (_split_of(manifest) and {"split": _split_now(name, splits, index)})
            for name, manifest in backbones.items()
        },
        versions={name: _versions(made.get("packages", {})) for name, made in made_by.items() if len(pictures)},
        settings={name: _settings(made, pictures, params) for name, made in made_by.items() if len(pictures)},
        drift={name: of["drift"] for name, of in features.manifest.get("measured", {}).items() if "drift" in of},
        classes=classes,
        targets=_targets(features.rows, index, classes),
        nuisances=_nuisances(features.rows, index),
        take=pictures.take if len(pictures) else None,
    )


def _targets(rows: pd.DataFrame, index: pd.DataFrame, classes: list[str]) -> np.ndarray:
    nobody = pd.DataFrame({"image_id": [], "role": []}, dtype="str")
    return artifacts.targets(artifacts.join_rows(rows, index, nobody, classes), classes)


def _nuisances(rows: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """What is known of each feature row's image besides its label, as text; "" where it is not."""
    names = [name for name in (*NUISANCES, *artifacts.attribute_columns(index)) if name in index]
    known = index[["image_id", *names]].astype("str")
    known["folder"] = index["path"].str.rpartition("/")[0].astype("str")
    return rows[["image_id"]].merge(known, on="image_id", how="left").fillna("")


def _settings(made_by: Mapping[str, Any], pictures: artifacts.Pictures, params: Params) -> dict[str, tuple[Any, Any]]:
    """By key: what the features and pictures were made with, and what is told now."""
    then, render = made_by.get("params", {}), pictures.manifest["made_by"].get("params", {})
    pairs = {
        "backbone.model": (then.get("model"), params.backbone.model),
        "embed.symmetry": (then.get("symmetry"), params.embed.symmetry),
        **{f"render.{key}": (render.get(key), now) for key, now in dataclasses.asdict(params.render).items()},
    }
    plain = json.loads(json.dumps(pairs))
    return {key: (was, now) for key, (was, now) in plain.items() if was is not None}


def _versions(then: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """By package: the version that a manifest names, and that of now, "" where it is not installed."""
    found = {}
    for name, version in then.items():
        try:
            found[name] = (version, metadata.version(name))
        except metadata.PackageNotFoundError:
            found[name] = (version, "")
    return found


def _split_of(backbone: dict[str, Any] | None) -> dict[str, str]:
    """Checksum of the split that a fine-tuned backbone was trained on; a frozen one has seen none."""
    inputs = backbone["made_by"]["inputs"] if backbone else {}
    return {"split": inputs["split"]} if "split" in inputs else {}


def _split_now(name: str, splits: pd.DataFrame, index: pd.DataFrame) -> str:
    return artifacts.split_checksum(splits[splits["fold"] == int(name.removeprefix("fold-"))], index)


def _attempt(load: Callable[[], Any], refused: list[str]) -> Any:
    try:
        return load()
    except PipelineError as error:
        refused.append(f"{error.where}: {error.what}")
        return None


def _set_aside(index: pd.DataFrame) -> set[str]:
    """Images that were split before their pixels turned out to be unusable."""
    quarantine = artifacts.load_quarantine()
    paths = quarantine.loc[quarantine["stage"] == "pixels", "path"]
    return set(index.loc[index["path"].isin(paths), "image_id"])

"""index, splits, pixels, backbone, features → audit.json, audit.html."""

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import pandas as pd

from pipeline import artifacts, storage
from pipeline.errors import PipelineError
from pipeline.features import checks
from pipeline.params import Params
from pipeline.report import audit_page

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Check, write both files, then fail if any verdict is `invalid`.

    Raises:
        PipelineError: names the checks that failed; nothing that was computed from these features holds.
    """
    found = checks.run(_evidence(), dataclasses.asdict(params.audit))
    content = {name: dataclasses.asdict(finding) for name, finding in found.items()}
    storage.save_json(artifacts.AUDIT, {"checks": content})
    storage.write_atomic(artifacts.AUDIT_PAGE, audit_page.render(content, params.report.title).encode())
    verdicts = [finding.verdict for finding in found.values()]
    log.info("audit: %s", ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)))
    for name, finding in found.items():
        if finding.verdict == "look":
            log.warning("look at %s: %s", name, finding.finding)
    failed = {name: finding.finding for name, finding in found.items() if finding.verdict == "invalid"}
    if failed:
        lines = "".join(f"\n  - {name}: {sentence}" for name, sentence in failed.items())
        remedy = (
            "run `dvc repro` if a stage is out of date; else delete the artifact that a line names and run it again"
        )
        raise PipelineError(artifacts.AUDIT_PAGE, f"results from these features are invalid:{lines}", remedy)


def _evidence() -> checks.Evidence:
    refused: list[str] = []
    index, splits = artifacts.load_index(), artifacts.load_splits()
    pictures = _attempt(artifacts.load_pixels, refused)
    features = _attempt(lambda: artifacts.load_features(current=False), refused)
    backbones = {
        name: _attempt(lambda name=name: artifacts.load_backbone(name), refused) for name in artifacts.backbone_names()
    }
    if refused or pictures is None or features is None:
        return checks.Evidence(refused=refused)
    return checks.Evidence(
        features=features.values,
        rows=features.rows,
        pictures=pictures.rows if len(pictures) else features.rows,
        imported=not len(pictures),
        expected=frozenset(splits["image_id"]) - _set_aside(index),
        roles=splits.merge(index[["image_id", "group"]], on="image_id"),
        made_from={
            name: made["inputs"] | _split_of(backbones.get(name)) for name, made in features.manifest["made_by"].items()
        },
        on_disk={
            name: artifacts.feature_inputs(name) | (_split_of(manifest) and {"split": _split_now(name, splits, index)})
            for name, manifest in backbones.items()
        },
        drift={name: of["drift"] for name, of in features.manifest.get("measured", {}).items() if "drift" in of},
    )


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

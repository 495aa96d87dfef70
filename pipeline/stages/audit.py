"""index, splits, pixels, backbone, features → audit.json, audit/."""

import dataclasses
import itertools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.features import checks
from pipeline.features.auditing import projection
from pipeline.features.auditing.evidence import Evidence, Finding, Synthetic, stratified
from pipeline.heads import arms, fitting
from pipeline.heads.cases import Cases
from pipeline.heads.entries import Entry
from pipeline.params import Params

log = logging.getLogger(__name__)
LISTED = 200  # image ids of a check in audit.json
NUISANCES = ("manufacturer", "laterality", "view", "bits_stored", "burned_in")
SURE = 64  # synthetic rows that tell whether a resampler mixes two parents


def run(params: Params) -> None:
    """Check, write what was found, then fail if a verdict is one of audit.fail_on.

    Raises:
        PipelineError: names the checks that failed; nothing that was computed from these features holds.
    """
    _refuse_unknown(params.audit.fail_on)
    evidence = _evidence(params)
    found = checks.run(evidence, dataclasses.asdict(params.audit))
    _save(found, _map(evidence, found))
    _tell(found, params.audit.fail_on)


def _refuse_unknown(fail_on: Sequence[str]) -> None:
    known = ["invalid", "look", *checks.CHECKS]
    if unknown := [name for name in fail_on if name not in known]:
        what = f"there is no verdict or check {', '.join(unknown)}"
        raise PipelineError("audit.fail_on", what, f"name some of {', '.join(known)}")


def _save(found: Mapping[str, Finding], arrays: Mapping[str, np.ndarray]) -> None:
    described = {
        name: {
            "value": finding.value,
            "threshold": finding.threshold,
            "verdict": finding.verdict,
            "rows": finding.rows[:LISTED],
            "row_count": len(finding.rows),
            "finding": finding.finding,
            "question": checks.CHECKS[name].__module__.rpartition(".")[2],
            "figures": finding.figures,
        }
        for name, finding in found.items()
    }
    tables = {name: finding.table for name, finding in found.items() if finding.table is not None}
    artifacts.save_audit(described, tables, arrays)


def _tell(found: Mapping[str, Finding], fail_on: Sequence[str]) -> None:
    verdicts = [finding.verdict for finding in found.values()]
    log.info("audit: %s", ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)))
    for name, finding in found.items():
        if finding.verdict == "look":
            log.warning("look at %s: %s", name, finding.finding)
    failed = {
        name: finding.finding
        for name, finding in found.items()
        if finding.verdict in fail_on or (name in fail_on and finding.verdict != "ok")
    }
    if failed:
        artifacts.AUDIT_PAGE.unlink(missing_ok=True)  # of an earlier audit, which says otherwise
        lines = "".join(f"\n  - {name}: {sentence}" for name, sentence in failed.items())
        said = (
            "invalid" if any(found[name].verdict == "invalid" for name in failed) else "not to be used (audit.fail_on)"
        )
        remedy = (
            "run `dvc repro` if a stage is out of date; else delete the artifact that a line names and run it again; "
            "`python -m pipeline audit_page` shows all that was found"
        )
        raise PipelineError(artifacts.AUDIT, f"results from these features are {said}:{lines}", remedy)


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
    evidence = Evidence(
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
    return dataclasses.replace(evidence, synthetic=_synthetic(evidence, params))


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


def _synthetic(evidence: Evidence, params: Params) -> dict[str, list[Synthetic]]:
    """What each resampler of the grid that makes rows makes in the first fold, with the seed of its arms."""
    made = {}
    for name in params.grid.resamplers:
        entry = next(Entry("resamplers", name, params.resamplers[name], f"resamplers.{name}").each())
        try:
            found = _made(evidence, entry, params.fit.seed)
        except PipelineError as error:
            log.info("audit: no synthetic rows of %s to look at (%s)", name, error.what)
            continue
        if len(found.labels):
            made[name] = [found]
    return made


def _made(evidence: Evidence, entry: Entry, seed: int) -> Synthetic:
    if not evidence.multilabel:
        known = evidence.targets >= 0
        return _resampled(evidence, entry, evidence.targets, known, evidence.classes, (seed, evidence.fold))
    each = []
    for label, marks in enumerate(evidence.targets.T):
        of_label = (seed, evidence.fold, label)
        if {0, 1} <= set(marks[evidence.role() == "train"].tolist()):
            one = _resampled(evidence, entry, marks, marks >= 0, arms.MARKS, of_label)
            each.append(_with_label(one, label))
    return _joined(each, evidence)


def _resampled(
    evidence: Evidence, entry: Entry, y: np.ndarray, known: np.ndarray, classes: Any, seed: tuple[int, ...]
) -> Synthetic:
    """What the training rows of the first fold become, or a sample of them where they are many."""
    train = np.flatnonzero((evidence.role() == "train") & known)
    rows = train[stratified(y[train])]
    cases = Cases(evidence.features[evidence.file], y, evidence.groups, evidence.natural, classes)
    resampled = fitting.prepare(cases, rows, entry, seed).resampled
    real = len(resampled.kept)
    space, parents = evidence.space(evidence.file), rows[resampled.parents]
    found = Synthetic(
        resampled.y[real:],
        parents,
        resampled.shares,
        evidence.fold,
        space,
        notes=resampled.notes,
        sample=len(rows) if len(rows) < len(train) else None,
    )
    some = np.linspace(0, len(parents) - 1, min(SURE, len(parents))).astype(int)
    mixed = dataclasses.replace(found, parents=parents[some], shares=resampled.shares[some]).X
    if np.allclose(mixed, resampled.X[real:][some], rtol=1e-3, atol=1e-3):
        return found
    return dataclasses.replace(found, written=np.array(resampled.X[real:]))


def _with_label(one: Synthetic, label: int) -> Synthetic:
    """The rows that have the label, of those with and without."""
    has = one.labels == 1
    written = None if one.written is None else one.written[has]
    notes = {label: one.notes[1]} if 1 in one.notes else {}
    labels = np.full(int(has.sum()), label)
    return dataclasses.replace(
        one, labels=labels, parents=one.parents[has], shares=one.shares[has], written=written, notes=notes
    )


def _joined(each: list[Synthetic], evidence: Evidence) -> Synthetic:
    space = evidence.space(evidence.file)
    if not each:
        return Synthetic(np.zeros(0, int), np.zeros((0, 2), int), np.zeros(0, np.float32), evidence.fold, space)
    written = [one.X for one in each] if any(one.written is not None for one in each) else []
    return Synthetic(
        np.concatenate([one.labels for one in each]),
        np.concatenate([one.parents for one in each]),
        np.concatenate([one.shares for one in each]),
        evidence.fold,
        space,
        np.concatenate(written) if written else None,
        {number: note for one in each for number, note in one.notes.items()},
        max((one.sample for one in each if one.sample), default=None),
    )


def _map(evidence: Evidence, found: Mapping[str, Finding]) -> dict[str, np.ndarray]:
    """What the page draws: rows of the first fold in two dimensions, and synthetic ones among them."""
    if evidence.refused or not len(evidence.rows):
        return {}
    images, named = evidence.rows["image_id"], {name: each.rows for name, each in found.items() if each.rows}
    wanted = np.where(images.isin(list(itertools.chain(*named.values()))), 2, 1) * evidence.natural
    synthetic = {name: made[0] for name, made in evidence.synthetic.items()}
    arrays = projection.plane(evidence.space(evidence.file), evidence.targets, wanted, synthetic)
    rows = arrays["rows"]
    return {
        **arrays,
        "features": np.array(evidence.file),
        "image_id": images.to_numpy(str)[rows],
        "role": evidence.role()[rows],
        "targets": evidence.targets[rows],
        "classes": np.array(evidence.classes, str),
        **{f"named/{name}": np.flatnonzero(images.iloc[rows].isin(ids)) for name, ids in named.items()},
    }


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

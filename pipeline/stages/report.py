"""Everything that the other stages wrote → report.html."""

import dataclasses
import io
import logging
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from pipeline import artifacts
from pipeline.params import Params
from pipeline.report import page, words

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Load, render, save; the last words say who won and where to read more."""
    results = load_results()
    html = page.render(
        results,
        title=params.report.title,
        images=params.data.images,
        select=params.evaluate.select,
        kappa=params.evaluate.kappa,
        confidence=params.evaluate.confidence,
        settings=as_yaml(dataclasses.asdict(params)),
    )
    artifacts.write_atomic(artifacts.REPORT, html.encode())
    selected = results.metrics["selected"]
    log.info(
        "selected on validation: %s, test macro-F1 %s\nReport: %s\nAll arms: python -m pipeline results",
        selected,
        words.estimate(results.metrics["arms"][selected]["test"], "macro_f1"),
        artifacts.REPORT,
    )


def load_results() -> page.Results:
    """What the page is made of, read from the artifacts of every stage before it."""
    metrics = artifacts.load_json(artifacts.METRICS, "evaluate")
    evaluation, backbones = artifacts.EVALUATION, artifacts.backbone_names()
    return page.Results(
        index=artifacts.load_index(),
        splits=artifacts.load_splits(),
        split_summary=artifacts.load_json(artifacts.SPLITS_SUMMARY, "split"),
        histories={name: artifacts.load_history(name) for name in backbones},
        fits={
            arm: artifacts.load_json(artifacts.FITS / arm / "fit.json", f"fit@{arm}")
            for arm in metrics["arms"]
        },
        metrics=metrics,
        comparison=pd.read_csv(artifacts.COMPARISON),
        per_class=pd.read_csv(evaluation / "per_class.csv", converters={"class": str}),
        confusion=artifacts.load_json(evaluation / "confusion.json", "evaluate"),
        roc=pd.read_csv(evaluation / "roc.csv", converters={"class": str}),
        pr=pd.read_csv(evaluation / "pr.csv", converters={"class": str}),
        collapse=artifacts.load_json(evaluation / "collapse.json", "evaluate"),
        audit=artifacts.load_json(artifacts.AUDIT, "audit"),
        quarantine=artifacts.load_quarantine(),
        manifests=[
            artifacts.load_json(folder / "manifest.json", stage)
            for folder, stage in [
                (artifacts.PIXELS, "pixels"),
                *((artifacts.BACKBONE / name, "finetune") for name in backbones),
                (artifacts.FEATURES, "embed"),
            ]
        ],
    )


def as_yaml(values: dict[str, Any]) -> str:
    """Plain values as YAML text."""
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.dump(values, text)
    return text.getvalue()

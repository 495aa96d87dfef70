"""Everything that the other stages wrote → report.html."""

import dataclasses
import logging

import pandas as pd

from pipeline import artifacts, storage
from pipeline.errors import PipelineError
from pipeline.imaging import flags
from pipeline.params import Params
from pipeline.report import page, words
from pipeline.report.results import Results, Settings

log = logging.getLogger(__name__)
TEXT = {
    "arms": ("arm", "selected", "baseline", "of", "decision", "leading"),
    "comparison": ("arm", "reference", "metric", "verdict"),
    "reject": (),
    "per_class": ("arm", "class", "few"),
    "predictions": ("image_id", "actual", "predicted"),
    "roc": ("class",),
    "pr": ("class",),
    "reliability": ("arm", "class"),
    "calibration": ("arm", "class"),
    "net_benefit": ("class",),
    "groups": ("view", "arm", "metric"),
    "subgroups": ("column", "value", "metric"),
    "cases": ("image_id", "actual", "predicted", "kind"),
}  # columns that hold text, for a class may be called 1 or NA; the others are numbers


def run(params: Params) -> None:
    """Load, render, save; the last words say who won and where to read more."""
    results = load_results(params)
    storage.write_atomic(artifacts.REPORT, page.render(results).encode())
    log.info(
        "selected on validation: %s, test macro-F1 %s\nReport: %s\nAll arms: python -m pipeline results",
        results.selected,
        words.estimate(results.metrics["arms"][results.selected]["test"], "macro_f1"),
        artifacts.REPORT,
    )


def load_results(params: Params) -> Results:
    """What the page is made of, read from the artifacts of every stage before it."""
    evaluation, backbones = artifacts.EVALUATION, artifacts.backbone_names()
    index, metrics = artifacts.load_index(), storage.load_json(artifacts.METRICS, "evaluate")
    tables = {name: _table(name) for name in TEXT}
    parts = ("decisions", "notes", "ranks", "confusion", "collapse")
    judged = {name: storage.load_json(evaluation / f"{name}.json", "evaluate") for name in parts}
    return Results(
        settings=_settings(params),
        index=index,
        pictures=artifacts.load_pixels(),
        flags=[vars(flag) for flag in flags.flags(index)],
        split_summary=storage.load_json(artifacts.SPLITS_SUMMARY, "split"),
        histories={name: artifacts.load_history(name) for name in backbones},
        fits={
            arm: storage.load_json(artifacts.FITS / arm / "fit.json", artifacts.fit_stage(arm))
            for arm in dict.fromkeys(tables["arms"]["of"])
        },
        metrics=metrics,
        comparison=tables["comparison"],
        arms=tables["arms"],
        decisions=judged["decisions"],
        rejected=tables["reject"],
        notes=judged["notes"],
        ranks=judged["ranks"],
        per_class=tables["per_class"],
        tested=tables["predictions"],
        confusion=judged["confusion"],
        roc=tables["roc"],
        pr=tables["pr"],
        reliability=tables["reliability"],
        calibration=tables["calibration"],
        net_benefit=tables["net_benefit"],
        groups=tables["groups"],
        subgroups=tables["subgroups"],
        cases=tables["cases"],
        collapse=judged["collapse"],
        audit=storage.load_json(artifacts.AUDIT, "audit"),
        quarantine=artifacts.load_quarantine(),
        manifests=[
            storage.load_json(folder / "manifest.json", stage)
            for folder, stage in [
                (artifacts.PIXELS, "pixels"),
                *((artifacts.BACKBONE / name, "finetune") for name in backbones),
                (artifacts.FEATURES, "embed"),
            ]
        ],
        seconds=artifacts.load_seconds(),
    )


def _settings(params: Params) -> Settings:
    own = dataclasses.asdict(params.data)
    return Settings(
        title=params.report.title,
        images=params.data.images,
        unit=params.evaluate.unit or params.fit.unit,
        gallery=params.report.gallery,
        select=params.evaluate.select,
        kappa=params.evaluate.kappa,
        confidence=params.evaluate.confidence,
        rope=params.evaluate.rope,
        # Paths may name people.
        shown={
            "data": {key: value for key, value in own.items() if key not in ("images", "labels")},
            "split": dataclasses.asdict(params.split),
            "evaluate": dataclasses.asdict(params.evaluate),
        },
    )


def _table(name: str) -> pd.DataFrame:
    path = artifacts.COMPARISON if name == "comparison" else artifacts.EVALUATION / f"{name}.csv"
    if not path.exists():
        raise PipelineError(path, "is missing", "run `dvc repro evaluate`")
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    return table.assign(**{str(column): pd.to_numeric(table[column]) for column in table if column not in TEXT[name]})

"""Everything that the other stages wrote → report.html."""

import logging
from pathlib import Path

import pandas as pd

from pipeline import artifacts, storage
from pipeline.errors import PipelineError
from pipeline.imaging import flags
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
    )
    storage.write_atomic(artifacts.REPORT, html.encode())
    selected = results.metrics["selected"]
    log.info(
        "selected on validation: %s, test macro-F1 %s\nReport: %s\nAll arms: python -m pipeline results",
        selected,
        words.estimate(results.metrics["arms"][selected]["test"], "macro_f1"),
        artifacts.REPORT,
    )


def load_results() -> page.Results:
    """What the page is made of, read from the artifacts of every stage before it."""
    metrics = storage.load_json(artifacts.METRICS, "evaluate")
    evaluation, backbones = artifacts.EVALUATION, artifacts.backbone_names()
    index = artifacts.load_index()
    arms = _table(evaluation / "arms.csv", "arm", "selected", "baseline", "of", "decision", "leading")
    return page.Results(
        index=index,
        pictures=artifacts.load_pixels(),
        flags=[vars(flag) for flag in flags.flags(index)],
        split_summary=storage.load_json(artifacts.SPLITS_SUMMARY, "split"),
        histories={name: artifacts.load_history(name) for name in backbones},
        fits={
            arm: storage.load_json(artifacts.FITS / arm / "fit.json", artifacts.fit_stage(arm))
            for arm in dict.fromkeys(arms["of"])
        },
        metrics=metrics,
        arms=arms,
        decisions=storage.load_json(evaluation / "decisions.json", "evaluate"),
        rejected=_table(evaluation / "reject.csv"),
        notes=storage.load_json(evaluation / "notes.json", "evaluate"),
        comparison=_table(artifacts.COMPARISON, "arm", "reference", "metric", "verdict"),
        per_class=_table(evaluation / "per_class.csv", "arm", "class"),
        tested=_table(evaluation / "predictions.csv", "image_id", "actual", "predicted"),
        confusion=storage.load_json(evaluation / "confusion.json", "evaluate"),
        roc=_table(evaluation / "roc.csv", "class"),
        pr=_table(evaluation / "pr.csv", "class"),
        collapse=storage.load_json(evaluation / "collapse.json", "evaluate"),
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
    )


def _table(path: Path, *words: str) -> pd.DataFrame:
    """A table of the evaluation: these columns hold text, for a class may be called 1 or NA, the others numbers."""
    if not path.exists():
        raise PipelineError(path, "is missing", "run `dvc repro evaluate`")
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    return table.assign(**{str(name): pd.to_numeric(table[name]) for name in table if name not in words})

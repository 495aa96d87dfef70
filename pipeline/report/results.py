"""What the page is made of: what the other stages left behind, and the params that say how to read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from pipeline.artifacts import Pictures, label_columns
from pipeline.report import decisions, tables, words


@dataclass(frozen=True)
class Settings:
    """What params.yaml says of the page.

    Attributes:
        title: of the page.
        images: the image folder, as given; it is not shown.
        unit: what is judged as one: image, exam or patient.
        gallery: whether pictures of patients and image ids may be shown.
        select: the metrics that selected on validation, in their order.
        kappa: weighting of kappa; with `none` the classes have no order, as two classes or labels have none.
        confidence: of the intervals.
        rope: differences up to this are no differences.
        shown: sections of params.yaml by name that no manifest holds.
    """

    title: str
    images: str
    unit: str
    gallery: bool
    select: Sequence[str]
    kappa: str
    confidence: float
    rope: float
    shown: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What the other stages left behind, as their files hold it; the files named here lie in evaluation/.

    Attributes:
        settings: what params.yaml says of the page.
        index: of the usable images.
        pictures: the store; an empty one where the features were imported.
        flags: what the headers warn of: name, count and words.
        split_summary: splits.json.
        histories: history.csv by backbone; empty tables for those that were not trained.
        fits: fit.json by arm, without decisions.
        metrics: metrics.json.
        comparison: comparison.csv.
        arms: arms.csv, the arms with their decisions from best to worst on validation.
        decisions: decisions.json, what was fitted of each decision.
        rejected: reject.csv, what the selected arm gains by answering less.
        notes: notes.json, what to know of comparisons, and the arms that failed.
        ranks: ranks.json, mean ranks over folds by metric.
        per_class: per_class.csv.
        tested: predictions.csv, what the selected arm was tested on: image_id of the first of `images`, actual class.
        confusion: confusion.json.
        roc: roc.csv, of the selected arm.
        pr: pr.csv, of the selected arm.
        reliability: reliability.csv, of the selected arm and of that without its calibrator.
        calibration: calibration.csv, of every arm and class.
        net_benefit: net_benefit.csv, of the selected arm.
        groups: groups.csv, the arms judged by merged classes.
        subgroups: subgroups.csv, the selected arm judged on parts of the test images.
        cases: cases.csv, the worst errors and the least certain images.
        collapse: collapse.json.
        audit: audit.json.
        quarantine: path, stage, reason, remedy.
        manifests: of the pictures, the backbones and the features.
        seconds: that each stage took, by name.
    """

    settings: Settings
    index: pd.DataFrame
    pictures: Pictures
    flags: Sequence[Mapping[str, Any]]
    split_summary: Mapping[str, Any]
    histories: Mapping[str, pd.DataFrame]
    fits: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Any]
    comparison: pd.DataFrame
    arms: pd.DataFrame
    decisions: Mapping[str, Any]
    rejected: pd.DataFrame
    notes: Mapping[str, Any]
    ranks: Mapping[str, Any]
    per_class: pd.DataFrame
    tested: pd.DataFrame
    confusion: Mapping[str, Any]
    roc: pd.DataFrame
    pr: pd.DataFrame
    reliability: pd.DataFrame
    calibration: pd.DataFrame
    net_benefit: pd.DataFrame
    groups: pd.DataFrame
    subgroups: pd.DataFrame
    cases: pd.DataFrame
    collapse: Mapping[str, Sequence[Mapping[str, Any]]]
    audit: Mapping[str, Any]
    quarantine: pd.DataFrame
    manifests: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, float]

    @property
    def selected(self) -> str:
        """The selected arm."""
        return self.metrics["selected"]

    @property
    def classes(self) -> list[str]:
        """Classes or labels, in order."""
        return self.split_summary["classes"]

    @property
    def task(self) -> str:
        """Multiclass, binary or multilabel."""
        if label_columns(self.index):
            return "multilabel"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def one(self) -> str:
        """What a class is called."""
        return "label" if self.task == "multilabel" else "class"

    @property
    def unit(self) -> str:
        """What is judged as one."""
        return self.settings.unit

    @property
    def counted_as(self) -> str:
        """What is counted in test: units, or predictions where splits are repeated and each unit is there again."""
        return "prediction" if self.tested["image_id"].duplicated().any() else self.unit

    @property
    def many(self) -> str:
        """What several are called."""
        return "labels" if self.task == "multilabel" else "classes"

    @property
    def own_probabilities(self) -> str:
        """Whose probabilities the selected arm's are: those of itself, or of the arm that it only decides otherwise."""
        known = set(self.calibration["arm"]) if len(self.calibration) else set()
        return self.selected if self.selected in known else decisions.arm_of(self.arms)[self.selected]

    @property
    def plain(self) -> str | None:
        """The selected arm without its calibrator; None where it has none."""
        arms = set(self.reliability["arm"]) if len(self.reliability) else set()
        return next(iter(arms - {self.selected}), None)

    @property
    def ordered(self) -> bool:
        """Whether the classes go from low to high."""
        return self.settings.kappa != "none" and self.task == "multiclass"

    @property
    def names(self) -> dict[str, str]:
        """What the metrics are called."""
        return words.metric_names(self.settings.kappa if self.ordered else "none")

    @cached_property
    def leading(self) -> list[str]:
        """The arms and, of the decisions that stand above their arm, the best; the best on validation first."""
        return decisions.leading(self.arms)

    @cached_property
    def baselines(self) -> dict[str, str | None]:
        """By arm, the same head without resampling."""
        return tables.baselines(self.arms)

    @cached_property
    def rarest(self) -> dict[str, dict[str, Any]]:
        """By arm, its row of per_class.csv for the class with the fewest test images."""
        return tables.rarest(self.per_class)

    @cached_property
    def counted(self) -> list[dict[str, Any]]:
        """Rows of per_class.csv of the selected arm: how many test cases stand behind each class, and what of them."""
        return tables.records(self.per_class, arm=self.selected)

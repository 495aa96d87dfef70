"""Predictions of images, or of exams, made those of the exams or patients that are judged as one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.heads import units
from pipeline.judge import intake
from pipeline.judge.units import Pool, pool
from pipeline.params import Unit

KEYS: dict[Unit, list[str]] = {"image": ["image_id"], "exam": ["group", "exam"], "patient": ["group"]}
WHERE = "evaluate.unit"


@dataclass(frozen=True)
class Units:
    """What is judged as one, and what one prediction is of."""

    judged: Unit
    learned: Unit
    pool: Pool


def unite(tables: Mapping[str, pd.DataFrame], index: pd.DataFrame, by: Units) -> dict[str, pd.DataFrame]:
    """One row per fold and unit, that of its first image, with `images`: how many it has.

    Args:
        tables: predictions of the same rows in the same order, by arm.
        index: of all images.
        by: units.

    Raises:
        PipelineError: images of one unit differ in class, or exams are not told apart.
    """
    shared = next(iter(tables.values()))
    known = intake.in_index(shared["image_id"], index).reset_index()
    images = np.ones(len(shared), int) if by.learned == "image" else _counted(known, index, by.learned)
    if by.judged == by.learned:
        return {arm: table.assign(images=images) for arm, table in tables.items()}
    if by.judged == "exam" and (unknown := int((known["exam"] == "").sum())):
        what = f"{unknown} of {len(known)} images have neither accession nor study to tell exams by"
        raise PipelineError(WHERE, what, f"use {WHERE}: image or patient")
    keys = [shared["fold"], shared["role"], *(known[key] for key in KEYS[by.judged])]
    unit, first = units.number([key.to_numpy() for key in keys])
    truth = _truth(shared, unit, by.judged).assign(images=np.bincount(unit, images).astype(int))
    return {arm: _pooled(table, unit, first, truth, by.pool) for arm, table in tables.items()}


def values(images: pd.Series, index: pd.DataFrame, column: str, judged: Unit) -> np.ndarray:
    """Text of a column of the index for each unit, `mixed` where its images differ, (n,) object.

    Args:
        images: image_id of one image of each unit.
        index: of all images.
        column: of the index.
        judged: what a unit is.
    """
    keys = KEYS[judged]
    text = index[column].astype("str").fillna("")
    grouped = text.groupby([index[key] for key in keys])
    united = grouped.first().where(grouped.nunique() == 1, "mixed")
    known = intake.in_index(images, index).reset_index()
    return united.reindex(pd.MultiIndex.from_frame(known[keys]) if len(keys) > 1 else known[keys[0]]).to_numpy(object)


def _counted(known: pd.DataFrame, index: pd.DataFrame, learned: Unit) -> np.ndarray:
    """Images of each unit that was learned as one, (n,) int."""
    sizes = index.groupby(KEYS[learned]).size().rename("images")
    return known.join(sizes, on=KEYS[learned])["images"].to_numpy()


def _truth(shared: pd.DataFrame, unit: np.ndarray, kind: Unit) -> pd.DataFrame:
    """`label` of each unit and, of several labels, what is known of each."""
    columns = intake.mark_columns(shared)
    if columns:
        marks = units.marks_of(shared[columns].to_numpy(np.int8), unit)
        joint = artifacts.joint_labels(marks, [name.removeprefix("y_") for name in columns])
        return pd.DataFrame({"label": joint, **dict(zip(columns, marks.T, strict=True))})
    codes, names = pd.factorize(shared["label"])
    return pd.DataFrame({"label": names.to_numpy(object)[units.class_of(codes, unit, kind, WHERE)]})


def _pooled(table: pd.DataFrame, unit: np.ndarray, first: np.ndarray, truth: pd.DataFrame, how: Pool) -> pd.DataFrame:
    columns = [f"p_{name}" for name in intake.class_names(table)]
    pooled = pool(table[columns].to_numpy(), unit, how, several=bool(intake.mark_columns(table)))
    kept = table.iloc[first][["image_id", "fold", "role"]].reset_index(drop=True)
    return pd.concat([kept, truth, pd.DataFrame(pooled, columns=pd.Index(columns))], axis=1)

"""What a careful reader of the index would want to be warned of."""

from dataclasses import dataclass

import pandas as pd

from pipeline import artifacts

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Flag:
    """A warning.

    Attributes:
        name: short, of the kind of warning.
        count: images that it is about.
        words: a sentence or two.
    """

    name: str
    count: int
    words: str


def flags(index: pd.DataFrame) -> list[Flag]:
    """Warnings about the images of an index, the gravest first; empty where there is nothing to say.

    The header elements are (0028,0301) Burned In Annotation, (0008,0008) Image Type, (0008,0068) Presentation Intent
    Type, (0008,0070) Manufacturer, (0008,0060) Modality and (0028,0004) Photometric Interpretation.
    """
    found = [_burned_in(index), _intents(index), _manufacturers(index), _modalities(index), _colours(index)]
    return [flag for flag in [*found, _secondary(index), _derived(index)] if flag]


def _burned_in(index: pd.DataFrame) -> Flag | None:
    text = "have text burned into the pixels: it may name the patient, and a model may read it"
    return _some("burned-in annotation", index["burned_in"].str.upper() == "YES", text)


def _secondary(index: pd.DataFrame) -> Flag | None:
    text = "are secondary captures: screenshots or scans, whose values are not those of the detector"
    return _some("secondary capture", index["secondary"], text)


def _derived(index: pd.DataFrame) -> Flag | None:
    """But for what was processed for presentation, as every mammogram of a screen is (PS3.3 C.8.11.7.1.4)."""
    derived = index["derived"] & (index["intent"].str.upper() != "FOR PRESENTATION")
    return _some("derived", derived, "are derived: made by processing from other images")


def _some(name: str, where: pd.Series, text: str) -> Flag | None:
    count = int(where.sum())
    return Flag(name, count, f"{count} of {len(where)} images {text}") if count else None


def _intents(index: pd.DataFrame) -> Flag | None:
    intent = index["intent"].str.upper()
    known = index[intent.isin(["FOR PROCESSING", "FOR PRESENTATION"])]
    return _several("mixed intents", intent[known.index], known)


def _manufacturers(index: pd.DataFrame) -> Flag | None:
    return _several("several manufacturers", index["manufacturer"], index)


def _modalities(index: pd.DataFrame) -> Flag | None:
    return _several("several modalities", index["modality"], index)


def _colours(index: pd.DataFrame) -> Flag | None:
    kinds = index["photometric"].str.startswith("MONOCHROME").map({True: "grey", False: "in colour"})
    return _several("colour and grey", kinds, index)


def _several(name: str, values: pd.Series, index: pd.DataFrame) -> Flag | None:
    """Counts of the values, whatever their case, and the shares by class of that which depends most on the class."""
    kinds = values.groupby(values.str.casefold()).transform(lambda same: same.mode()[0])
    counts = kinds.value_counts()
    if (counts.index != "").sum() < 2:
        return None
    shares = _shares(kinds, index)
    telling = str((shares.max() - shares.min()).sort_index().idxmax())
    by_class = ", ".join(f"{label} {share:.0%}" for label, share in shares[telling].items())
    listed = ", ".join(f"{kind or _UNKNOWN} {count}" for kind, count in counts.items())
    words = f"{listed}; share of {telling or _UNKNOWN} by class: {by_class}"
    return Flag(name, int(counts.sum() - counts.max()), words)


def _shares(kinds: pd.Series, index: pd.DataFrame) -> pd.DataFrame:
    """Share of each kind among the images of a class, or among those that have a label, classes × kinds."""
    columns = artifacts.label_columns(index)
    if not columns:
        return pd.crosstab(index["label"], kinds, normalize="index").loc[artifacts.classes(index, None)]
    of_label = {
        column.removeprefix(artifacts.LABEL): kinds[index[column] == artifacts.PRESENT].value_counts(normalize=True)
        for column in columns
    }
    return pd.DataFrame(of_label).T.fillna(0.0)

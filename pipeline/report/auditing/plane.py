"""The map: what its script draws, as JSON."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.report import plots
from pipeline.report.auditing import figures, sprites, verdicts
from pipeline.report.auditing.audited import Audited

LAYOUTS = {
    "embedding": (
        "neighbours",
        "t-SNE: near points are alike. How large a group is and how far from others says little.",
    ),
    "pca": (
        "principal components",
        "The two directions in which the features vary most; what lies in others is not seen.",
    ),
}
NUISANCES = ("manufacturer", "laterality", "view", "bits_stored", "burned_in")
VALUES = 12  # of one legend; rarer ones are joined
QUIET, SHAPES = "quiet", 4
SHADES = ((0.0, 0), (0.38, 0), (0.45, 255))  # share of black or white
STEPS = 65_535  # of a coordinate


def of(audited: Audited) -> dict[str, Any]:
    """Values of map.html.j2."""
    if not audited.arrays:
        return {"map": None}
    arrays, resamplers = audited.arrays, _resamplers(audited.arrays)
    shown, total = len(arrays["rows"]), int(arrays["total"])
    light, dark = plots.palette(len(audited.classes), audited.ordered)
    synthetic = {
        name: (len(arrays[f"synthetic/{name}/labels"]), int(arrays[f"synthetic/{name}/total"])) for name in resamplers
    }
    return {
        "map": json.dumps(_data(audited), separators=(",", ":")).replace("<", "\\u003c"),
        "mapped": {"shown": shown, "total": total, "file": str(arrays["features"]), "synthetic": synthetic},
        "layouts": LAYOUTS,
        "colours": _variables("class", _apart(light)) + _variables("series", plots.NOMINAL),
        "colours_dark": _variables("class", _apart(dark)) + _variables("series", plots.NOMINAL_DARK),
    }


def _apart(colours: Sequence[str]) -> list[str]:
    """Colours that repeat are darker, and the next time paler; such come with another shape, too."""
    found, seen = [], {}
    for colour in colours:
        turn = seen[colour] = seen.get(colour, -1) + 1
        share, other = SHADES[turn % len(SHADES)]
        channels = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        found.append("#" + "".join(f"{round((1 - share) * value + share * other):02x}" for value in channels))
    return found


def _variables(kind: str, colours: Sequence[str]) -> str:
    return " ".join(f"--{kind}-{number}: {colour};" for number, colour in enumerate(colours))


def _resamplers(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [key.split("/")[1] for key in arrays if key.startswith("synthetic/") and key.endswith("/labels")]


def _data(audited: Audited) -> dict[str, Any]:
    arrays, resamplers = audited.arrays, _resamplers(audited.arrays)
    layouts, among = {}, {name: {} for name in resamplers}
    for layout in LAYOUTS:
        parts = [arrays[layout], *(arrays[f"synthetic/{name}/{layout}"] for name in resamplers)]
        first, *others = _steps(parts)
        layouts[layout] = _packed(first)
        among = {name: {**among[name], layout: _packed(xy)} for name, xy in zip(resamplers, others, strict=True)}
    named = {key.removeprefix("named/"): places for key, places in arrays.items() if key.startswith("named/")}
    places = audited.places.reindex(arrays["image_id"]).fillna(-1).to_numpy(int)
    return {
        "ids": arrays["image_id"].tolist() if audited.gallery else None,
        "rows": arrays["rows"].tolist(),
        "layouts": layouts,
        "modes": [{**mode, "codes": _packed(mode["codes"].astype("<u2"))} for mode in modes(audited)],
        "named": {figures.words(name): places.tolist() for name, places in named.items()},
        "synthetic": {name: {**among[name], **_made(audited, name)} for name in resamplers},
        "sprites": sprites.sheets(audited.pictures, places) if audited.pictures and (places >= 0).any() else None,
    }


def _made(audited: Audited, name: str) -> dict[str, str]:
    labels, parents, shares = (audited.arrays[f"synthetic/{name}/{key}"] for key in ("labels", "parents", "shares"))
    return {
        "codes": _packed(labels.astype("<u2")),
        "parents": _packed(parents.astype("<u2")),
        "shares": _packed(np.round(100 * shares).astype("<u2")),
    }


def _steps(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Points (n, 2) as steps of a square that holds all of them, y downwards, uint16; both axes have one scale."""
    points = np.concatenate(parts)
    low, high = points.min(axis=0), points.max(axis=0)
    span = max(float((high - low).max()), 1e-12)
    corner = (low + high - span) / 2
    scaled = [np.clip((part - corner) / span, 0, 1) for part in parts]
    return [np.round(np.stack([part[:, 0], 1 - part[:, 1]], axis=1) * STEPS).astype("<u2") for part in scaled]


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def modes(audited: Audited) -> Iterator[dict[str, Any]]:
    """What points can be coloured by.

    Each has a `name`, `entries` (name, tone and shape), `codes` (n,), numbers of entries, and whether it is `told` of a
    point in any case, is of `classes`, in the order of their numbers, or of `checks`.
    """
    arrays, entries = audited.arrays, _class_entries(audited)
    targets = arrays["targets"]
    if targets.ndim == 1:
        yield _mode("class", targets, entries, "no class", told=True, classes=True)
    else:
        yield _mode("rarest label", _rarest(targets), entries, artifacts.NO_FINDING, told=True, classes=True)
    yield _values("role", arrays["role"], list(artifacts.ROLES), "in no role", told=True)
    yield _by_check(audited)
    yield from _by_arm(audited, entries)
    if targets.ndim == 2:
        marks = _entries(("absent", "present"))
        yield from (_mode(name, targets[:, number], marks, "not known") for number, name in enumerate(audited.classes))
    yield from _by_nuisance(audited)


def _class_entries(audited: Audited) -> list[dict[str, Any]]:
    """Colours of the other page; where they repeat, another shape."""
    repeat = len(audited.classes) if audited.ordered else len(plots.NOMINAL)
    return [
        {"name": name, "tone": f"class-{number}", "shape": number // repeat % SHAPES}
        for number, name in enumerate(audited.classes)
    ]


def _entries(names: Sequence[str], first: int = 0) -> list[dict[str, Any]]:
    """The last colour is grey, as what stands aside is."""
    tones = len(plots.NOMINAL) - 1
    return [
        {"name": name, "tone": f"series-{number % tones}", "shape": number // tones % SHAPES}
        for number, name in enumerate(names, first)
    ]


def _mode(
    name: str, codes: np.ndarray, entries: Sequence[Mapping[str, Any]], rest: str, **kind: bool
) -> dict[str, Any]:
    """Codes below 0 are the `rest`."""
    every = [*entries, {"name": rest, "tone": QUIET, "shape": 0}]
    return {"name": name, "entries": every, "codes": np.where(codes < 0, len(entries), codes), **kind}


def _values(name: str, values: np.ndarray, ordered: Sequence[str], rest: str, **kind: bool) -> dict[str, Any]:
    """Values that are not among the `ordered` ones are the `rest`."""
    return _mode(name, pd.Index(list(ordered)).get_indexer(pd.Index(values)), _entries(ordered), rest, **kind)


def _by_check(audited: Audited) -> dict[str, Any]:
    """A row that several checks name is that of the worst; of equally bad ones that which names fewest."""
    named = {key.removeprefix("named/"): places for key, places in audited.arrays.items() if key.startswith("named/")}
    order = sorted(named, key=lambda name: (verdicts.RANKS.index(audited.checks[name]["verdict"]), len(named[name])))
    codes = np.full(len(audited.arrays["rows"]), -1)
    for number, name in reversed(list(enumerate(order))):
        codes[named[name]] = number
    return _mode("check", codes, _entries([figures.words(name) for name in order], 1), "named by none", checks=True)


def _by_arm(audited: Audited, entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Is the selected arm right about an image, each time that it is tested on it; and what does it take it for?"""
    if audited.tested is None:
        return
    ids, tested = audited.arrays["image_id"], audited.tested.set_index("image_id")
    wrong = (tested["actual"] != tested["predicted"]).groupby(level=0).any().astype(int)
    codes = wrong.reindex(ids).fillna(-1).to_numpy(int)
    yield _mode("selected arm", codes, _entries(("right", "wrong")), "not tested", told=True)
    if audited.arrays["targets"].ndim == 1:
        predicted = tested["predicted"].groupby(level=0).first().reindex(ids)
        codes = pd.Index(audited.classes).get_indexer(pd.Index(predicted))
        yield _mode("predicted", codes, entries, "not tested", told=True)


def _by_nuisance(audited: Audited) -> Iterator[dict[str, Any]]:
    known = audited.known(audited.arrays["image_id"])
    for column in (*NUISANCES, *artifacts.attribute_columns(audited.index)):
        if column not in known:
            continue
        text = known[column].astype("str").where(known[column].notna(), "")
        counts = text[text != ""].value_counts()
        if text.nunique() > 1:
            name = figures.words(column.removeprefix(artifacts.ATTRIBUTE))
            yield _values(name, text.to_numpy(str), sorted(counts.index[:VALUES]), "other or not known")


def _rarest(targets: np.ndarray) -> np.ndarray:
    """Number of the rarest label of each image, (n,) int, -1 where it has none."""
    present = targets == artifacts.PRESENT
    rarity = np.where(present, present.sum(axis=0), len(targets) + 1)
    return np.where(present.any(axis=1), rarity.argmin(axis=1), -1)

"""Which arm comes first, and whether it is better than another."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import pandas as pd

from pipeline.judge import folds
from pipeline.judge.arms import Judged
from pipeline.judge.intervals import ends
from pipeline.judge.means import OF_CLASS, PARTS, rests_on
from pipeline.judge.metrics import selection_key

COMPARED: tuple[str, ...] = ("macro_f1", "kappa", "balanced_accuracy_adjusted")  # more is better in each
COLUMNS = (
    *("arm", "reference", "metric", "difference", "low", "high"),
    *("p", "p_holm", "p_folds", "better", "same", "worse", "verdict"),
)
BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "practically the same", "can't tell"

Pair = tuple[str, str]  # arm and reference


@dataclass(frozen=True)
class Terms:
    """On which a difference is one.

    Attributes:
        confidence: of the intervals, and that no equal arms are called better or worse.
        rope: half width of the region of practical equivalence.
        ratio: test rows to training rows of a fold; NaN where it is not known, and nothing is told from folds.
    """

    confidence: float
    rope: float
    ratio: float


def note(terms: Terms) -> str:
    """What a reader of the comparisons must know."""
    return (
        "Each interval stands alone. Better and worse are told by p, corrected (Holm) for the number of arms that are "
        "compared with the same kind of reference by the same metric: among arms that are all equal, any is called "
        f"better or worse in about {100 * (1 - terms.confidence):.3g} of 100 data sets. Metrics are not corrected for "
        f"each other. Practically the same: the whole interval lies within ±{terms.rope:g}."
    )


def rank(figures: Mapping[str, Mapping[str, float]], keys: Sequence[str], constant: Collection[str] = ()) -> list[str]:
    """Arms from best to worst by these figures in order; equal arms stay in the order given.

    Arms in `constant` come last: one answer to every image has a chance-corrected figure of 0, which an arm that tries
    can fall below by chance.
    """
    return sorted(figures, key=lambda arm: (arm not in constant, selection_key(figures[arm], keys)), reverse=True)


def compare(judged: Mapping[str, Judged], families: Mapping[str, Sequence[Pair]], terms: Terms) -> pd.DataFrame:
    """Differences between arms on the same rows, paired; `note` must be read with them.

    Args:
        judged: arms by name, with figures of the same draws and the same folds.
        families: by kind of reference, the pairs whose p are corrected together. A pair of several gets the greatest.
        terms: of the verdict.

    Returns:
        COLUMNS, a row per pair and metric: difference is arm less reference, low and high its interval; p is
        two-sided, of the draws, p_holm the same corrected for its family (Holm 1979); p_folds, better, same and
        worse are those of `folds.tell`; verdict is
        practically the same where the interval lies within the region of practical equivalence, else better or worse
        where p_holm is below 1 - confidence, else can't tell.
    """
    pairs = list(dict.fromkeys(chain.from_iterable(families.values())))
    if not pairs:
        return pd.DataFrame(columns=list(COLUMNS))
    names = {*chain(*pairs)}
    gaps = _gaps({name: judged[name].draws for name in names}, pairs)
    left_out = {name: of for name in names if (of := judged[name].left_out)}
    rows = [(arm, reference, metric) for (arm, reference), metric in product(pairs, COMPARED)]
    points = np.array([_gap(judged, *row) for row in rows])
    behind = np.array([_rests_on(judged, *row) for row in rows])
    low, high = ends(gaps, points, _gaps(left_out, pairs) if left_out else None, terms.confidence, behind)
    p = p_values(gaps, behind)
    corrected = _by_family(p.reshape(len(pairs), -1), pairs, families).ravel()
    told = [folds.tell(_of_folds(judged, *row), terms.ratio, terms.rope) for row in rows]
    table = pd.DataFrame(rows, columns=["arm", "reference", "metric"])
    table = table.assign(difference=points, low=low, high=high, p=p, p_holm=corrected).join(pd.DataFrame(told))
    return table.assign(verdict=verdicts(table, terms))[list(COLUMNS)]


def verdicts(table: pd.DataFrame, terms: Terms) -> np.ndarray:
    """The verdict on each row by its interval and p_holm, (n,) str."""
    same = (table["low"] >= -terms.rope) & (table["high"] <= terms.rope)
    sure = table["p_holm"] < 1 - terms.confidence
    over = table["difference"] > 0
    return np.select([same, sure & over, sure & ~over], [SAME, BETTER, WORSE], UNKNOWN)


def turned(table: pd.DataFrame) -> pd.DataFrame:
    """The same comparisons with arm and reference, and so all signs and sides, the other way round."""
    names = {"arm": "reference", "reference": "arm", "low": "high", "high": "low", BETTER: WORSE, WORSE: BETTER}
    other = table.rename(columns=names)[list(COLUMNS)]
    other[["difference", "low", "high"]] *= -1
    return other.assign(verdict=other["verdict"].replace({BETTER: WORSE, WORSE: BETTER}))


def p_values(gaps: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Two-sided p that each difference is 0, (m,) float64, from its draws (draws, m); a draw of NaN does not count.

    Twice the share of draws on the rarer side of 0, with one more, as of the sample itself, so that p is never 0
    (Davison & Hinkley 1997, doi:10.1017/CBO9780511802843, section 4.2). Draws that all lie on one side say only that p
    is below 2 / (draws + 1), which a correction for many comparisons would always raise above any limit: how far below
    is read off the normal curve of their mean and spread. As far out on the curve of Student's t for the patients that
    the difference rests on (m,), p is larger: it agrees with intervals that are wider where these are few.
    """
    from scipy.special import ndtr, ndtri, stdtr

    known = (~np.isnan(gaps)).sum(axis=0)
    rarer = np.minimum((gaps <= 0).sum(axis=0), (gaps >= 0).sum(axis=0))
    p = np.where(known > 0, np.minimum(2 * (rarer + 1) / (known + 1), 1), np.nan)
    apart = np.flatnonzero((rarer == 0) & (known > 1))
    mean, spread = np.nanmean(gaps[:, apart], axis=0), np.nanstd(gaps[:, apart], axis=0, ddof=1)
    p[apart] = np.minimum(p[apart], 2 * ndtr(-np.abs(mean) / np.maximum(spread, np.finfo(float).tiny)))
    count = np.maximum(patients, 2)
    return np.where(patients > 1, 2 * stdtr(count - 1, ndtri(p / 2) * np.sqrt((count - 1) / count)), 1.0)


def holm(p: np.ndarray) -> np.ndarray:
    """p corrected for their number by Holm's step-down rule (1979, jstor 4615733), (m,); NaN does not count."""
    order = np.argsort(p)[: (~np.isnan(p)).sum()]  # NaN sorts last
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return corrected


def _by_family(p: np.ndarray, pairs: Sequence[Pair], families: Mapping[str, Sequence[Pair]]) -> np.ndarray:
    """Of p (pairs, metrics), each metric corrected within each family."""
    corrected = np.full(p.shape, np.nan)
    for family in families.values():
        rows = [pairs.index(pair) for pair in dict.fromkeys(family)]
        for metric in range(p.shape[1]):
            corrected[rows, metric] = np.fmax(corrected[rows, metric], holm(p[rows, metric]))
    return corrected


def _gaps(of: Mapping[str, Mapping[str, np.ndarray]], pairs: Sequence[Pair]) -> np.ndarray:
    """Differences of all pairs by all metrics, (draws, pairs · metrics) float64."""
    return np.stack(
        [of[arm][metric] - of[reference][metric] for (arm, reference), metric in product(pairs, COMPARED)], axis=1
    )


def _gap(judged: Mapping[str, Judged], arm: str, reference: str, metric: str) -> float:
    return judged[arm].figures["test"][metric] - judged[reference].figures["test"][metric]


def _rests_on(judged: Mapping[str, Judged], arm: str, reference: str, metric: str) -> float:
    """Patients that a difference rests on: it may hang on few where neither figure does."""
    one, other = judged[arm], judged[reference]
    parts = OF_CLASS + PARTS.get(metric, "")
    gaps = {parts: one.draws[parts] - other.draws[parts]} if metric in PARTS else {}
    return float(rests_on(metric, gaps, one.classwise["patients"], one.patients))


def _of_folds(judged: Mapping[str, Judged], arm: str, reference: str, metric: str) -> np.ndarray:
    one, other = (folds.figures(judged[name].figures["folds"], metric) for name in (arm, reference))
    return one - other

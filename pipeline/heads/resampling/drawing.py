"""What the over-samplers share: parents are drawn class by class, then all synthetic rows are written at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.errors import PipelineError
from pipeline.features.neighbours import mixed, nearest
from pipeline.heads import memory
from pipeline.heads.resampling.rows import PART, Resampled, Rows, Strategy
from pipeline.heads.resampling.strategy import lacking


@dataclass(frozen=True)
class Drawn:
    """Synthetic rows of one class, not written yet.

    Attributes:
        parents: positions, (s, 2) int.
        shares: (s,) float64.
        note: what was done otherwise than asked for.
    """

    parents: np.ndarray
    shares: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """All rows of a resampled fold before any is written.

    Attributes:
        rows: the real ones.
        y: class numbers of the real rows, then of the synthetic ones, (m,) int.
        parents: positions, (m - n, 2) int.
        shares: (m - n,) float64.
        notes: by class number.
    """

    rows: Rows
    y: np.ndarray
    parents: np.ndarray
    shares: np.ndarray
    notes: dict[int, str]

    def written(self, kept: np.ndarray | None = None) -> Resampled:
        """The rows, or those at some of the m positions, ascending: the output is the only large array.

        Raises:
            PipelineError: there is no memory for so many rows.
        """
        real = len(self.rows.y)
        kept = np.arange(len(self.y)) if kept is None else kept
        originals, synthetic = kept[kept < real], kept[kept >= real] - real
        parents, shares = self.parents[synthetic], self.shares[synthetic]
        X = allocate(self.rows, originals, len(synthetic))
        for start in range(0, len(synthetic), PART // 16):
            part = slice(start, start + PART // 16)
            X[len(originals) :][part] = mixed(self.rows.X, parents[part, 0], parents[part, 1], shares[part])
        return Resampled(X, self.y[kept], originals, parents, shares.astype(np.float32), self.notes)


def planned(rows: Rows, strategy: Strategy, draw: Callable[[int, int], Drawn]) -> Plan:
    """Draw the rows that each class lacks, in the order of the classes; they come after the real ones.

    Args:
        rows: to be resampled.
        strategy: how far.
        draw: of class number and rows wanted.
    """
    sizes, notes = lacking(rows.y, strategy)
    return plan_of(rows, {label: draw(label, size) for label, size in sizes.items()}, notes)


def plan_of(rows: Rows, drawn: dict[int, Drawn], notes: dict[int, str]) -> Plan:
    """What was drawn for each class, put together."""
    labels = [np.full(len(one.shares), label, rows.y.dtype) for label, one in drawn.items()]
    return Plan(
        rows,
        np.concatenate([rows.y, *labels]),
        np.concatenate([np.zeros((0, 2), np.int64), *(one.parents for one in drawn.values())]).astype(np.int64),
        np.concatenate([np.zeros(0), *(one.shares for one in drawn.values())]),
        notes | {label: one.note for label, one in drawn.items() if one.note},
    )


def allocate(rows: Rows, originals: np.ndarray, synthetic: int) -> np.ndarray:
    """Room for real rows, which are in it, and for synthetic ones, (len(originals) + synthetic, D).

    Raises:
        PipelineError: there is no memory for so many rows.
    """
    count, free = len(originals) + synthetic, memory.available()
    size = count * rows.X[:1].nbytes
    if size > free:
        raise PipelineError(
            "resampling",
            f"{count} rows take {size / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free",
            "ask for a smaller strategy, such as 0.1, or use random_under",
        )
    X = np.empty((count, rows.X.shape[1]), rows.X.dtype)
    np.take(rows.X, originals, axis=0, out=X[: len(originals)], mode="clip")  # other modes copy first
    return X


def repeated(rows: Rows, label: int, size: int, random_state: np.random.RandomState, note: str = "") -> Drawn:
    """Rows of a class, drawn with replacement."""
    again = random_state.choice(np.flatnonzero(rows.y == label), size)
    return Drawn(np.stack([again, again], axis=1), np.zeros(size), note)


def between(
    starts: np.ndarray, table: np.ndarray, size: int, random_state: np.random.RandomState, step: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Parents and shares: a start and one of its neighbours, all pairs as likely, and a uniform share up to `step`.

    Args:
        starts: positions, (q,) int.
        table: positions of their neighbours, (q, k) int.
        size: pairs to draw.
        random_state: drawn from as imbalanced-learn does.
        step: of the way to the neighbour; away from it if negative.
    """
    picked = random_state.randint(0, table.size, size)
    shares = step * random_state.uniform(size=size)
    row, column = np.divmod(picked, table.shape[1])
    return np.stack([starts[row], table[row, column]], axis=1), shares


@dataclass(frozen=True)
class Kin:
    """Whom the rows of a class can be mixed with: its other rows, or those of other patients.

    Attributes:
        own: positions of the class, (c,) int.
        k: neighbours that each of them has, at most as many as asked for; 0: no mixture can be made.
        note: why it is fewer.
        known: the neighbours of every row, if they are, (n, k or more) int32.
    """

    rows: Rows
    own: np.ndarray
    k: int
    cross_patient: bool
    note: str
    known: np.ndarray | None = None

    def table(self, queries: np.ndarray | None = None) -> np.ndarray:
        """The k nearest of each row of the class, or of some, (q, k) int32."""
        if self.known is not None:
            return self.known[self.own if queries is None else queries, : self.k]
        return nearest(self.rows.X, self.k, queries, self.own, self.rows.patients if self.cross_patient else None)


def kin(rows: Rows, label: int, k: int, cross_patient: bool, known: np.ndarray | None = None) -> Kin:
    """The neighbours that a class has for k asked for."""
    own = np.flatnonzero(rows.y == label)
    alone = int(np.bincount(np.unique(rows.patients[own], return_inverse=True)[1]).max()) if cross_patient else 1
    others = len(own) - alone
    if others >= k:
        return Kin(rows, own, k, cross_patient, "", known)
    if not others:
        return Kin(rows, own, 0, cross_patient, "one row" if len(own) == 1 else "all its rows are of one patient")
    shrunk = f"{others} neighbour{'s' if others > 1 else ''} instead of {k}, since "
    why = f"a patient has {alone} of its {len(own)} rows" if alone > 1 else f"it has {len(own)} rows"
    return Kin(rows, own, others, cross_patient, shrunk + why, known)

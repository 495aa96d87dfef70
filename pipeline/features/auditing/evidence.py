"""What the checks look at, what each answers, and what they share."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features import approximate
from pipeline.features.neighbours import mixed

AT_ONCE = 2**26  # bytes of features in memory
NEIGHBOURS = 15  # of each row
MANY = 20_000  # rows above which a check whose cost grows faster than they do looks at a sample
NO_IMAGES = pd.DataFrame({"image_id": [], "fingerprint": []}, dtype="str")
NO_ROWS = NO_IMAGES.assign(view=0)
NO_ROLES = pd.DataFrame({"image_id": [], "group": [], "fold": [], "role": []}, dtype="str")


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Rows that a resampler makes of the training rows of one fold.

    Attributes:
        labels: class number of each, (s,) int; of several labels, the one that it has.
        parents: feature rows, (s, 2) int.
        shares: how far it lies on the way from the first parent to the second, (s,) float32.
        fold: number.
        space: features that it lies among, as `Evidence.space`.
        written: (s, D) float32, of a resampler whose rows do not lie between two parents.
        notes: by class number, where what was done is not what was asked for.
        sample: number of training rows that were resampled, if not all of them.
    """

    labels: np.ndarray
    parents: np.ndarray
    shares: np.ndarray
    fold: int
    space: np.ndarray = field(repr=False)
    written: np.ndarray | None = None
    notes: Mapping[int, str] = field(default_factory=dict)
    sample: int | None = None

    @cached_property
    def X(self) -> np.ndarray:  # noqa: N802
        """The rows, in the space of `Evidence.space`, (s, D) float32."""
        if self.written is not None:
            return self.written
        return mixed(self.space, self.parents[:, 0], self.parents[:, 1], self.shares)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the checks look at. N is the number of feature rows.

    Attributes:
        features: by file name: (N, D) float32.
        rows: image_id, fingerprint, view of each feature row; a view above 0 is augmented.
        pictures: image_id, fingerprint of each picture, in the order in which the pictures lie.
        expected: image_id of every image that was split and not set aside since.
        roles: image_id, group, fold, role.
        made_from: by file name: checksum by input that the features were computed from.
        on_disk: likewise, of what lies on disk now.
        versions: by file name: by package, the version that computed the features and that of now.
        settings: by file name: by key of params.yaml, the value that the features were made with and that of now.
        drift: by file name: `rows` that were embedded again, and the `noise`, the greatest distance of one from what it
            was, as a share of the mean distance of rows from their centre.
        imported: whether the features come from elsewhere, without pictures and weights.
        refused: what could not be read, and why; the rest is empty then.
        classes: names, in the order of their numbers.
        targets: class number of each feature row, (N,) int, -1 none; of several labels 1, 0 or -1 (not known), (N, L).
        nuisances: what the features should not tell, a row for each feature row: image_id and columns of text.
        take: pictures at positions of `pictures`, (n, H, W) or (n, H, W, 3), as they lie in the store; None where there
            are none.
        synthetic: by resampler, for the first fold: what it makes.
    """

    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: pd.DataFrame = field(default_factory=lambda: NO_ROWS)
    pictures: pd.DataFrame = field(default_factory=lambda: NO_IMAGES)
    expected: frozenset[str] = frozenset()
    roles: pd.DataFrame = field(default_factory=lambda: NO_ROLES)
    made_from: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    on_disk: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, tuple[Any, Any]]] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    imported: bool = False
    refused: Sequence[str] = ()
    classes: Sequence[str] = ()
    targets: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    nuisances: pd.DataFrame = field(default_factory=lambda: NO_IMAGES[["image_id"]])
    take: Callable[[np.ndarray], np.ndarray] | None = None
    synthetic: Mapping[str, Sequence[Synthetic]] = field(default_factory=dict)
    _spaces: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False)
    _neighbours: dict[str, approximate.Found] = field(default_factory=dict, init=False, repr=False)
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def multilabel(self) -> bool:
        """Whether an image has several labels."""
        return self.targets.ndim == 2

    @property
    def fold(self) -> int:
        """Number of the first fold, of which expensive checks are."""
        return int(self.roles["fold"].min()) if len(self.roles) else 0

    @property
    def file(self) -> str:
        """Name of the features of the first fold."""
        return self.file_of(self.fold)

    def file_of(self, fold: int) -> str:
        """Name of the features that the heads of a fold learn from."""
        return "shared" if "shared" in self.features else f"fold-{fold}"

    @cached_property
    def natural(self) -> np.ndarray:
        """Which feature rows are of pictures as they are, (N,) bool; the others are of augmented views."""
        return (self.rows["view"] == 0).to_numpy()

    @cached_property
    def images(self) -> np.ndarray:
        """Number of the image of each feature row, (N,) int."""
        return pd.factorize(self.rows["image_id"])[0]

    @cached_property
    def groups(self) -> np.ndarray:
        """Number of the patient of each feature row, (N,) int, -1 outside the split."""
        known = self.roles.drop_duplicates("image_id").set_index("image_id")["group"]
        return pd.factorize(self.rows["image_id"].map(known))[0]

    def role(self, fold: int | None = None) -> np.ndarray:
        """Role of each feature row in a fold (None: the first), (N,) str.

        "" outside the split, and of an augmented view of what is no training row, as nothing is learned from it.
        """
        here = self.roles[self.roles["fold"] == (self.fold if fold is None else fold)]
        known = here.drop_duplicates("image_id").set_index("image_id")["role"]
        role = self.rows["image_id"].map(known).fillna("").to_numpy(str)
        role[~self.natural & (role != "train")] = ""
        return role

    def space(self, name: str) -> np.ndarray:
        """Features of a file as heads and resamplers see them, (N, D) float32, finite.

        Scaled by mean and standard deviation of the training rows of its (first) fold; a missing value is the mean.
        """
        if name not in self._spaces:
            fold = int(name.removeprefix("fold-")) if name.startswith("fold-") else self.fold
            train = np.flatnonzero(self.role(fold) == "train")
            values = self.features[name]
            self._spaces[name] = scaled(values, train if len(train) else np.arange(len(values)))
        return self._spaces[name]

    def neighbours(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows of other images in `space`, nearest first; searched once.

        Returns:
            Rows (N, k) int32, -1 where there are no more, and Euclidean distances (N, k) float32, infinite there.
        """
        found = self._searched(name)
        return found.rows, found.distances

    def recall(self, name: str) -> float:
        """Share of the true nearest rows that `neighbours` has; 1 where the search is exact."""
        return self._searched(name).recall

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What several checks need, made by the first that asks for it.

        Args:
            name: under which it is kept.
            make: makes it.
        """
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    def picture(self, rows: np.ndarray) -> np.ndarray | None:
        """Pictures of feature rows as they lie in the store, (n, H, W) or (n, H, W, 3) uint8 or uint16.

        Of an augmented view, the picture itself; None where features were imported, or a row has no picture.
        """
        places = self._places[rows]
        return None if self.take is None or (places < 0).any() else self.take(places)

    @cached_property
    def shown(self) -> np.ndarray:
        """Which feature rows are of pictures as they are, and have one in the store, (N,) bool."""
        return self.natural & (self._places >= 0) & (self.take is not None)

    @cached_property
    def labels(self) -> np.ndarray:
        """Label of each feature row, (N,) str; of several those that it has, joined by |; "" where none is known."""
        if not self.multilabel:
            return np.array([*self.classes, ""], str)[self.targets]
        return np.array(["|".join(np.array(self.classes, str)[row == 1]) for row in self.targets], str)

    @cached_property
    def _places(self) -> np.ndarray:
        return pd.Index(self.pictures["image_id"]).get_indexer(pd.Index(self.rows["image_id"]))

    def _searched(self, name: str) -> approximate.Found:
        if name not in self._neighbours:
            self._neighbours[name] = approximate.search(self.space(name), NEIGHBOURS, self.images)
        return self._neighbours[name]


@dataclass(frozen=True)
class Finding:
    """Answer of one check.

    Attributes:
        value: the figure.
        threshold: above which the verdict is not `ok`.
        verdict: `ok`; `look`, a person should; `invalid`, nothing that was computed from these features holds.
        rows: image_id of the images concerned, sorted, or ranked as those of the table are.
        finding: one sentence that names the worst.
        table: an image or pair in each row, ranked, for a person to look at.
        figures: more figures: by class, resampler or nuisance.
    """

    value: float
    threshold: float
    verdict: str
    rows: list[str]
    finding: str
    table: pd.DataFrame | None = field(default=None, compare=False, repr=False)
    figures: dict[str, Any] = field(default_factory=dict)


Check = Callable[[Evidence, float], Finding]


def strict(value: float, threshold: float, rows: Iterable[str], sentence: str, **more: Any) -> Finding:
    """A finding that is `invalid` above the threshold."""
    return Finding(value, threshold, "invalid" if value > threshold else "ok", sorted(rows), sentence, **more)


def look(value: float, threshold: float) -> str:
    """The verdict of what a person should look at above the threshold."""
    return "look" if value > threshold else "ok"


def image_ids(table: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """image_id of some rows of a table, by mask or position."""
    return table["image_id"].to_numpy()[rows].tolist()


def worst(values: Mapping[str, float]) -> str:
    """The name of the greatest."""
    return max(values, key=lambda name: values[name])


def parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive rows that fit the memory of a small machine; at least one part."""
    step = max(1, AT_ONCE // max(1, values[:1].nbytes))
    for start in range(0, max(1, len(values)), step):
        yield np.ascontiguousarray(values[start : start + step])


def stratified(strata: np.ndarray, most: int = MANY, seed: int = 0) -> np.ndarray:
    """Positions of a sample in which each stratum has its share, ascending, (at most `most`,) int.

    Args:
        strata: of each row, (n,), of any type that sorts.
        most: rows of the sample; all where there are no more.
        seed: of the draw.
    """
    count = len(strata)
    if count <= most:
        return np.arange(count)
    order = np.lexsort((np.random.default_rng(seed).permutation(count), np.unique(strata, return_inverse=True)[1]))
    return np.sort(order[np.linspace(0, count - 1, most).astype(int)])


def scaled(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Each feature minus its mean, over its standard deviation, of some rows; a copy, (N, D) float32, finite.

    What is not finite becomes 0, the mean. A feature whose deviation is not more than the rounding of its mean is
    constant, and only centred.
    """
    count, total, squares = (np.zeros(values.shape[1]) for _ in range(3))
    blocks = [rows[start : start + 4096] for start in range(0, len(rows), 4096)]
    for block in blocks:
        part = np.where(np.isfinite(values[block]), values[block], np.nan)
        count += np.isfinite(part).sum(axis=0)
        total += np.nansum(part, axis=0, dtype=np.float64)
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    for block in blocks:
        part = np.where(np.isfinite(values[block]), values[block], mean) - mean
        squares += np.square(part, dtype=np.float64).sum(axis=0)
    deviation = np.sqrt(squares / np.maximum(count, 1))
    deviation[deviation <= np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    out = np.empty(values.shape, np.float32)
    for start in range(0, len(values), 4096):
        block = np.where(np.isfinite(values[start : start + 4096]), values[start : start + 4096], mean)
        out[start : start + 4096] = (block - mean) / deviation.astype(np.float32)
    return out

"""Names, schemas, readers and writers of everything that crosses a stage border.

Paths are relative to the folder that holds params.yaml. A writer leaves the old artifact or the new one, never half
of one; a reader distrusts the disk and names the command that rebuilds what it refuses.
"""

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import provenance, storage
from pipeline.errors import PipelineError

log = logging.getLogger(__name__)

ROOT = Path("artifacts")
INDEX = ROOT / "index.parquet"
SCAN = ROOT / "scan.parquet"
QUARANTINE = ROOT / "quarantine.csv"
QUARANTINE_PARTS = ROOT / "quarantine"
SPLITS = ROOT / "splits.parquet"
SPLITS_SUMMARY = ROOT / "splits.json"
PIXELS = ROOT / "pixels"
BACKBONE = ROOT / "backbone"
CHECKPOINTS = ROOT / "checkpoints"
FEATURES = ROOT / "features"
FITS = ROOT / "fits"
METRICS = ROOT / "metrics.json"
SUMMARY = ROOT / "summary.json"
COMPARISON = ROOT / "comparison.csv"
EVALUATION = ROOT / "evaluation"
AUDIT = ROOT / "audit.json"
AUDITED = ROOT / "audit"
AUDIT_PAGE = ROOT / "audit.html"
REPORT = ROOT / "report.html"
SECONDS = ROOT / "seconds.json"

ROLES = ("train", "val", "test")

HEADER_COLUMNS = {
    "modality": "str",
    "rows": "int32",
    "columns": "int32",
    "frames": "int32",
    "bits_stored": "int16",
    "signed": "bool",
    "photometric": "str",
    "transfer_syntax": "str",
    "laterality": "str",
    "view": "str",
    "burned_in": "str",
    "derived": "bool",
    "secondary": "bool",
    "intent": "str",
    "manufacturer": "str",
}
INDEX_COLUMNS = {
    "image_id": "str",
    "path": "str",
    "group": "str",
    "exam": "str",
    "label": "str",
    "split": "str",
    "frame": "int32",
    **HEADER_COLUMNS,
    "size": "int64",
    "fingerprint": "str",
}
SCAN_COLUMNS = {
    "stamp": "str",
    "path": "str",
    "size": "int64",
    "mtime_ns": "int64",
    "fingerprint": "str",
    "sop_uid": "str",
    "patient": "str",
    "accession": "str",
    "study": "str",
    **HEADER_COLUMNS,
    "reason": "str",
    "remedy": "str",
}
QUARANTINE_COLUMNS = ("path", "stage", "reason", "remedy")
SPLITS_COLUMNS = {"image_id": "str", "fold": "int16", "role": "str"}
PIXEL_ROWS = {
    "image_id": "str",
    "shard": "int32",
    "row": "int32",
    "fingerprint": "str",
    "window": "str",
    "crop": "str",
    "mirrored": "bool",
}
FEATURE_ROWS = {"image_id": "str", "fingerprint": "str", "view": "int16"}
LABEL = "label_"  # before the name of each label's column, with data.task: multilabel
ABSENT, PRESENT, MISSING = 0, 1, -1  # what such a column holds
NO_FINDING = "No Finding"  # `label` of an image for which every label is absent
JOINT = "|"  # between the labels of an image in `label`
ATTRIBUTE = "attribute_"  # before the name of each column of data.attributes
_ROWS_ASIDE = PIXELS / "rows.next"


# Tables


def save_index(index: pd.DataFrame) -> None:
    """Write index.parquet with its label columns and attributes, if any; the same rows give the same bytes."""
    more = dict.fromkeys(label_columns(index), "int8") | dict.fromkeys(attribute_columns(index), "str")
    storage.save_parquet(INDEX, index, INDEX_COLUMNS | more)


def load_index() -> pd.DataFrame:
    """The index, one row per usable image, in the order of image_id."""
    return storage.load_parquet(INDEX, INDEX_COLUMNS, "index")


def label_columns(table: pd.DataFrame) -> list[str]:
    """The columns that hold PRESENT, ABSENT or MISSING of one label each; none unless data.task is multilabel."""
    return [name for name in table.columns if name.startswith(LABEL)]


def attribute_columns(table: pd.DataFrame) -> list[str]:
    """The columns that hold the text of data.attributes, such as `attribute_sex`; empty where a row has none."""
    return [name for name in table.columns if name.startswith(ATTRIBUTE)]


def classes(index: pd.DataFrame, given: Sequence[str] | None) -> list[str]:
    """Class names in order: as given in data.classes, else the labels sorted (numbers by value).

    The names of the labels for a multilabel index, in the order of its columns.
    """
    if given:
        return list(given)
    columns = label_columns(index)
    return [name.removeprefix(LABEL) for name in columns] or sorted(index["label"].unique(), key=_by_value)


def save_scan(scan: pd.DataFrame) -> None:
    """Write the memo of the scan; ids in it are keyed hashes."""
    storage.save_parquet(SCAN, scan, SCAN_COLUMNS)


def load_scan() -> pd.DataFrame:
    """The memo of the last scan; empty where there is none that can be read, since a scan makes it anew."""
    try:
        return storage.load_parquet(SCAN, SCAN_COLUMNS, "index")
    except PipelineError:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in SCAN_COLUMNS.items()})


def save_quarantine(stage: str, rows: Sequence[Mapping[str, str]], alone: bool = False) -> None:
    """Set a stage's part of quarantine.csv; `rows` have path, reason and remedy.

    The other parts stay, but out of quarantine.csv if the stage stands `alone`, as one that stops the run.
    """
    part = pd.DataFrame([{**row, "stage": stage} for row in rows], columns=list(QUARANTINE_COLUMNS), dtype="str")
    storage.save_csv(QUARANTINE_PARTS / f"{stage}.csv", part.sort_values("path", kind="stable"))
    table = load_quarantine()
    storage.save_csv(QUARANTINE, table[table["stage"] == stage] if alone else table)


def load_quarantine() -> pd.DataFrame:
    """What every stage set aside: path, stage, reason, remedy, all str."""
    parts = [pd.read_csv(part, dtype="str", keep_default_na=False) for part in sorted(QUARANTINE_PARTS.glob("*.csv"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(QUARANTINE_COLUMNS), dtype="str")


def save_splits(splits: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    """Write splits.parquet (image_id, fold, role) and splits.json."""
    storage.save_parquet(SPLITS, splits, SPLITS_COLUMNS)
    storage.save_json(SPLITS_SUMMARY, summary)


def load_splits() -> pd.DataFrame:
    """Role of every image in every fold."""
    return storage.load_parquet(SPLITS, SPLITS_COLUMNS, "split")


# Pictures


@dataclass(frozen=True)
class Pictures:
    """The picture store, memory-mapped.

    Attributes:
        rows: columns PIXEL_ROWS; in the order of image_id.
        manifest: what made the store.
        shards: arrays (n, H, W) or (n, H, W, 3), uint8 or uint16, by shard number.
    """

    rows: pd.DataFrame
    manifest: dict[str, Any]
    shards: Mapping[int, np.ndarray]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for colour."""
        return 3 if len(self.manifest["shape"]) == 4 else 1

    @property
    def size(self) -> int:
        """Height and width, pixels."""
        return self.manifest["shape"][1]

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Pictures at these positions of `rows`, (n, H, W) or (n, H, W, 3), in the type of the store."""
        shards, rows = self._places
        out = np.empty((len(positions), *self.manifest["shape"][1:]), self.manifest["dtype"])
        # One plain copy per picture: grouping a small batch by shard costs more than it saves.
        for place, (shard, row) in enumerate(zip(shards[positions].tolist(), rows[positions].tolist(), strict=True)):
            out[place] = self.shards[shard][row]
        return out

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Shard and row of each picture; a look into the table at each batch would cost as much as the batch."""
        return self.rows["shard"].to_numpy(), self.rows["row"].to_numpy()


def save_pixels(
    rows: pd.DataFrame,
    shape: Sequence[int],
    dtype: np.dtype,
    files: Mapping[str, str],
    made_by: Mapping[str, Any],
    refused: object,
) -> None:
    """Put a picture store in force whose shards are written already.

    The new rows wait aside until manifest.json names them: `mend_pixels` finishes what is killed between the two. Then
    what killed runs and older stores left is deleted.

    Args:
        rows: columns PIXEL_ROWS.
        shape: of one picture, (H, W) or (H, W, 3).
        dtype: of its pixels.
        files: checksum of each shard file by its name.
        made_by: provenance.
        refused: what could not be rendered, kept so that it is not tried again.
    """
    storage.save_parquet(_ROWS_ASIDE, rows, PIXEL_ROWS)
    manifest = {
        "stage": "pixels",
        "made_by": made_by,
        "shape": [len(rows), *shape],
        "dtype": str(dtype),
        "row_count": len(rows),
        "files": {**files, "rows.parquet": provenance.checksum(_ROWS_ASIDE)},
        "refused": refused,
    }
    storage.save_json(PIXELS / "manifest.json", manifest)
    mend_pixels()
    for pattern in ("[0-9]*", "left-*", ".[0-9]*", ".rows*", ".manifest*"):
        for file in PIXELS.glob(pattern):
            if file.name not in files:
                file.unlink()


def mend_pixels() -> None:
    """Give the rows that manifest.json names their place; for the stage that writes the store alone."""
    if _ROWS_ASIDE.exists() and provenance.checksum(_ROWS_ASIDE) == pixel_files().get("rows.parquet"):
        os.replace(_ROWS_ASIDE, PIXELS / "rows.parquet")


def pixel_files() -> dict[str, str]:
    """Checksums by name as manifest.json has them, whether or not the files are so; empty where there is none."""
    try:
        return storage.load_json(PIXELS / "manifest.json", "pixels")["files"]
    except PipelineError:
        return {}


def load_pixels() -> Pictures:
    """The picture store; refused when a shard is not what the manifest says.

    Every byte is hashed, by several threads: 1 to 2 s for 5 GB, which the reading that follows then finds in memory.
    """
    manifest = storage.load_json(PIXELS / "manifest.json", "pixels")
    with ThreadPoolExecutor() as threads:
        for _ in threads.map(
            lambda file: storage.verify(PIXELS / file[0], file[1], "pixels"), manifest["files"].items()
        ):
            pass
    rows = storage.load_parquet(PIXELS / "rows.parquet", PIXEL_ROWS, "pixels")
    # Plain arrays on the mapped files: numpy.memmap would make an object of its own of every picture that is taken.
    shards = {
        int(name[:-4]): np.asarray(np.load(PIXELS / name, mmap_mode="r"))
        for name in manifest["files"]
        if name.endswith(".npy")
    }
    return Pictures(rows, manifest, shards)


# Backbones


def backbone_name(fold: int | None) -> str:
    """Folder of a fold's weights, and name of the features made with them; None for the one that all folds share."""
    return "shared" if fold is None else f"fold-{fold}"


def save_backbone(name: str, weights: bytes, history: pd.DataFrame, made_by: Mapping[str, Any]) -> None:
    """Write weights.safetensors, history.csv and manifest.json of one backbone."""
    with storage.folder_atomic(BACKBONE / name) as folder:
        (folder / "weights.safetensors").write_bytes(weights)
        history.to_csv(folder / "history.csv", index=False)
        storage.write_manifest(folder, {"made_by": made_by})


def load_backbone(name: str) -> dict[str, Any]:
    """Manifest of a backbone whose files are what it says."""
    return storage.load_manifest(BACKBONE / name, "finetune")


def has_backbone(name: str, made_by: Mapping[str, Any]) -> bool:
    """Whether an undamaged backbone with this provenance is there."""
    try:
        return load_backbone(name)["made_by"] == made_by
    except PipelineError:
        return False


def backbone_names() -> list[str]:
    """The backbones on disk: `shared`, or one per fold."""
    names = sorted(path.parent.name for path in BACKBONE.glob("*/manifest.json"))
    if not names:
        raise storage.missing(BACKBONE, "finetune")
    return names


def load_history(name: str) -> pd.DataFrame:
    """Per epoch: losses, metrics and prediction counts per class; empty for a frozen backbone."""
    load_backbone(name)
    return pd.read_csv(BACKBONE / name / "history.csv")


def save_checkpoint(name: str, state: bytes, made_by: Mapping[str, Any]) -> None:
    """Keep the state of a training that is not done, in place of an earlier one."""
    head = {"made_by": made_by, "sha256": hashlib.sha256(state).hexdigest()}
    with storage.file_atomic(_checkpoint(name)) as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.write(state)


def load_checkpoint(name: str, made_by: Mapping[str, Any]) -> bytes | None:
    """The state of an interrupted training with this provenance; None where there is none that can be used."""
    path = _checkpoint(name)
    for left in path.parent.glob(f".{path.name}.*"):  # by a run that was killed as it wrote
        left.unlink()
    if not path.exists():
        return None
    line, _, state = path.read_bytes().partition(b"\n")
    try:
        head = json.loads(line)
        sound = head["sha256"] == hashlib.sha256(state).hexdigest()
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound:
        log.warning("%s is damaged: this training begins anew", path)
        return None
    return state if head["made_by"] == made_by else None


def drop_checkpoint(name: str | None = None) -> None:
    """Delete the state of one training, or of all of them."""
    if name is None:
        shutil.rmtree(CHECKPOINTS, ignore_errors=True)
    else:
        _checkpoint(name).unlink(missing_ok=True)


def _checkpoint(name: str) -> Path:
    return CHECKPOINTS / f"{name}.pt"


# Features


@dataclass(frozen=True)
class Features:
    """Cached features.

    Attributes:
        values: by name (`shared` or `fold-K`): (N, D) float32, memory-mapped.
        rows: image_id, fingerprint, view (0: the picture itself; from 1 on: augmented); the row order of every file.
        manifest: what made them.
    """

    values: Mapping[str, np.ndarray]
    rows: pd.DataFrame
    manifest: dict[str, Any]

    def of_fold(self, fold: int) -> np.ndarray:
        """Features that the head of this fold may learn from, (N, D) float32."""
        name = "shared" if "shared" in self.values else f"fold-{fold}"
        if name not in self.values:
            raise storage.missing(FEATURES / f"{name}.npy", "embed")
        return self.values[name]


def save_features(
    values: Mapping[str, np.ndarray | Path],
    rows: pd.DataFrame,
    made_by: Mapping[str, Mapping[str, Any]],
    measured: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write one .npy per name, rows.parquet and manifest.json.

    Args:
        values: (N, D) float32 by name, or the .npy file that holds them already, which stays.
        rows: columns FEATURE_ROWS.
        made_by: provenance by name.
        measured: what was found out about them, by name.
    """
    with storage.folder_atomic(FEATURES) as folder:
        for name, given in values.items():
            if isinstance(given, Path):
                storage.link(given, folder / f"{name}.npy")
            else:
                np.save(folder / f"{name}.npy", given)
        storage.save_parquet(folder / "rows.parquet", rows, FEATURE_ROWS)
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in values}
        shapes = {name: {"shape": array.shape, "dtype": str(array.dtype)} for name, array in arrays.items()}
        content = {"row_count": len(rows), "arrays": shapes, "made_by": made_by, "measured": measured or {}}
        storage.write_manifest(folder, content)


def load_features(current: bool = True) -> Features:
    """Cached features.

    Args:
        current: refuse features of other pictures or weights than lie on disk, too.

    Raises:
        PipelineError: a file is absent, or not what the manifest says.
    """
    manifest = storage.load_manifest(FEATURES, "embed")
    rows = storage.load_parquet(FEATURES / "rows.parquet", FEATURE_ROWS, "embed")
    values = {name: np.load(FEATURES / f"{name}.npy", mmap_mode="r") for name in manifest["arrays"]}
    for name, array in values.items():
        if array.shape != tuple(manifest["arrays"][name]["shape"]) or len(array) != len(rows):
            raise PipelineError(
                FEATURES / f"{name}.npy",
                f"has shape {array.shape}, but rows.parquet has {len(rows)} rows",
                storage.rebuild(FEATURES, "embed"),
            )
    if current:
        _refuse_stale(manifest["made_by"])
    return Features(values, rows, manifest)


def feature_inputs(name: str) -> dict[str, str]:
    """Checksums of what features of this name are made from, as it lies on disk now; without what is absent."""
    pixels, backbone = PIXELS / "manifest.json", BACKBONE / name / "manifest.json"
    found = {}
    if backbone.exists():
        found["backbone"] = storage.load_json(backbone, "finetune")["files"]["weights.safetensors"]
    if pixels.exists():
        manifest = storage.load_json(pixels, "pixels")
        found["render"] = provenance.checksum_of_json(manifest["made_by"])
        found["pixels"] = manifest["files"]["rows.parquet"]
    return found


def _refuse_stale(made_by: Mapping[str, Mapping[str, Any]]) -> None:
    """What is absent is no fault: features can be learned from where no picture is."""
    words = {"backbone": "weights", "render": "render settings", "pixels": "pictures"}
    for name, made in made_by.items():
        now, then = feature_inputs(name), made.get("inputs", {})
        other = [words[kind] for kind in now.keys() & then.keys() if now[kind] != then[kind]]
        if other:
            raise PipelineError(
                FEATURES / f"{name}.npy",
                f"was computed from other {' and '.join(sorted(other))} than lie on disk now",
                "run `dvc repro embed`",
            )


def join_rows(rows: pd.DataFrame, index: pd.DataFrame, split: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Rows of the pictures or features, in their order, with label, label columns, class_number, group and role.

    The role is "" outside the split, and of an augmented view (`view` above 0) whose image is not a training row.
    """
    columns = ["image_id", "label", "group", *label_columns(index)]
    joined = rows[["image_id"]].merge(index[columns], on="image_id", how="left")
    joined = joined.merge(split[["image_id", "role"]], on="image_id", how="left")
    joined = joined.fillna({"role": "", "label": "", "group": "", **dict.fromkeys(label_columns(index), MISSING)})
    if "view" in rows:
        joined.loc[(rows["view"].to_numpy() > 0) & (joined["role"] != "train").to_numpy(), "role"] = ""
    joined["class_number"] = pd.Index(list(classes)).get_indexer(pd.Index(joined["label"]))
    return joined


def targets(joined: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """What is learned, of the rows of `join_rows`.

    Class numbers (n,) int, -1 for a class that is not in `classes`; for a multilabel index PRESENT, ABSENT or MISSING,
    (n, L) int8.
    """
    if label_columns(joined):
        return joined[[LABEL + name for name in classes]].to_numpy(np.int8)
    return joined["class_number"].to_numpy()


def joint_labels(marks: np.ndarray, classes: Sequence[str]) -> list[str]:
    """`label` of images from what is known of each label, (n, L) int8: the present ones, as the index has them."""
    present = [[name for name, mark in zip(classes, row, strict=True) if mark == PRESENT] for row in marks.tolist()]
    return [JOINT.join(names) or NO_FINDING for names in present]


def split_checksum(splits: pd.DataFrame, index: pd.DataFrame) -> str:
    """Checksum of who is in which role with which label."""
    columns = ["label", *label_columns(index)]
    labelled = splits.merge(index[["image_id", *columns]], on="image_id").sort_values(["fold", "image_id"])
    return provenance.checksum_of(labelled[["image_id", "role", *columns]])


# Fits


def fit_stage(arm: str) -> str:
    """Name in dvc.yaml of the stage that fits an arm: only the names of resampler-head pairs have a hyphen."""
    return f"fit@{arm}" if "-" in arm else f"arm@{arm}"


def save_fit(arm: str, predictions: pd.DataFrame, fitted: Sequence[object], report: Mapping[str, Any]) -> None:
    """Write predictions.parquet, head.joblib (one fitted object per fold) and fit.json of an arm."""
    import joblib

    with storage.folder_atomic(FITS / arm) as folder:
        predictions.to_parquet(folder / "predictions.parquet", index=False)
        joblib.dump(list(fitted), folder / "head.joblib")
        files = {name: provenance.checksum(folder / name) for name in ("predictions.parquet", "head.joblib")}
        storage.save_json(folder / "fit.json", {**report, "files": files})


def save_failure(arm: str, error: PipelineError, report: Mapping[str, Any]) -> None:
    """Write fit.json alone, with the key `failure` (where, what, remedy), for an arm that could not be fitted."""
    failure = {"where": error.where, "what": error.what, "remedy": error.remedy}
    with storage.folder_atomic(FITS / arm) as folder:
        storage.save_json(folder / "fit.json", {**report, "failure": failure})


def load_fit(arm: str) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """An arm's predictions (image_id, fold, role, label, p_<class>…) and its fit.json.

    The predictions are None of an arm that could not be fitted: fit.json has the key `failure` (where, what, remedy).
    """
    stage, folder = fit_stage(arm), FITS / arm
    report = storage.load_json(folder / "fit.json", stage)
    if "failure" in report:
        return None, report
    storage.verify(folder / "predictions.parquet", report.get("files", {}).get("predictions.parquet", ""), stage)
    return pd.read_parquet(folder / "predictions.parquet"), report


# The audit


def save_audit(
    checks: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, np.ndarray], root: Path = ROOT
) -> None:
    """Write audit.json, and under audit/ a CSV for each check with a table, and map.npz.

    Args:
        checks: value, threshold, verdict, rows, row_count, finding, question and figures by check.
        tables: what a person should look at, by check.
        arrays: of the map, if there is one: as of `features.auditing.projection.plane`, with image_id, role and targets
            of each row, the names of the classes, `features`, the file that it is of, and as `named/CHECK` the
            positions that a check names.
        root: the folder.
    """
    with storage.folder_atomic(root / AUDITED.name) as folder:
        for name, table in tables.items():
            storage.save_csv(folder / f"{name}.csv", table)
        if arrays:
            np.savez(folder / "map.npz", **arrays)  # pyright: ignore[reportArgumentType]
    storage.save_json(root / AUDIT.name, {"checks": checks})


def load_audit(root: Path = ROOT) -> tuple[dict[str, Any], dict[str, pd.DataFrame], dict[str, np.ndarray]]:
    """What `save_audit` wrote below `root`; the tables as text where a column is not of numbers."""
    checks, folder = storage.load_json(root / AUDIT.name, "audit")["checks"], root / AUDITED.name
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in checks if (folder / f"{name}.csv").exists()}
    if not (folder / "map.npz").exists():
        return checks, tables, {}
    with np.load(folder / "map.npz") as arrays:
        return checks, tables, {name: arrays[name] for name in arrays}


# Seconds


def note_seconds(stage: str, seconds: float) -> None:
    """Keep how long a stage took in a file that no stage depends on; of two at once, one may be lost."""
    storage.save_json(SECONDS, {**load_seconds(), stage: round(seconds, 2)})


def load_seconds() -> dict[str, float]:
    """Wall seconds of each stage when it last ran, by name; empty where none is known."""
    try:
        return storage.load_json(SECONDS, "index")
    except PipelineError:
        return {}


def _by_value(name: str) -> tuple[float, str]:
    try:
        value = float(name)
    except ValueError:
        value = math.inf
    return (value if math.isfinite(value) else math.inf), name

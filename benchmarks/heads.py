"""Stage 2 against the naive way: resamplers, heads, a grid in two processes, and a million rows.

    python benchmarks/heads.py [--quick] [--json FILE] [--only logistic]

Features are generated as a backbone makes them: a few dozen hidden causes, of which the class shifts the means, mixed
into many dimensions, rectified, and scaled; each class is half as frequent as the one before. Runs of both sides are
interleaved, and the least time of each counts. Of a million memory-mapped rows the largest memory that is not the file
itself is reported, once with the head alone, and once with an arm, which copies and scales the training rows first.
No other work should run.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import claims
import numpy as np
from ruamel.yaml import YAML

from pipeline import engine
from pipeline.heads import arms
from pipeline.heads.cases import Cases
from pipeline.heads.entries import Entry
from pipeline.heads.named import Pair
from pipeline.heads.protocol import Protocol

ENTRIES = YAML(typ="safe").load(Path(__file__).parents[1] / "params.yaml")
CLASSES = ("A", "B", "C", "D")
HIDDEN, APART, NOISE = 48, 0.4, 0.3
C = (0.001, 0.01, 0.1)
EQUAL, NEAR = 0.001, 0.005  # log loss
LEAN = {"num_leaves": 15, "max_bin": 63, "colsample_bytree": 0.2}
TREES = 100
RESAMPLERS = ("none", "random_over", "smote", "borderline_smote")
HEADS = ("logistic", "lightgbm", "mlp")


def main() -> None:
    parts: dict[str, Callable[[bool], dict[str, Any]]] = {
        "resampling": _resampling,
        "logistic": logistic,
        "lightgbm": lightgbm,
        "grid": grid,
        "million": million,
    }
    options = claims.parser(__doc__.splitlines()[0])
    options.add_argument("--only", choices=parts, help="one part")
    chosen = options.parse_args()
    made = {}
    with arms.one_thread_each():
        for name in [chosen.only] if chosen.only else parts:
            made |= parts[name](chosen.quick)
    claims.publish(made, chosen.json)


def _resampling(quick: bool) -> dict[str, Any]:
    import resampling

    return resampling.measured(quick)


def logistic(quick: bool) -> dict[str, Any]:
    """Our logistic head against scikit-learn's on float64, with the same penalty, on the same rows."""
    from sklearn.linear_model import LogisticRegression

    X, y, X_new, y_new = split(*features(25_000, 512), 20_000)
    wide = X.astype(np.float64), X_new.astype(np.float64)
    each = []
    for strength in C:
        ours, theirs = (
            partial(of("logistic", C=strength).fit, X, y),
            partial(LogisticRegression(C=strength, max_iter=1000).fit, wide[0], y),
        )
        (fast, slow), (one, other) = interleaved(ours, theirs, runs=2 if quick else 5)
        for rows, labels, wide_rows in ((X, y, wide[0]), (X_new, y_new, wide[1])):
            found = surprise(one.predict_proba(rows), labels), surprise(other.predict_proba(wide_rows), labels)
            refuse_unless(
                abs(found[0] - found[1]) <= EQUAL,
                f"logistic, C {strength}: log loss {found[0]:.4f} against {found[1]:.4f}",
            )
        each.append(
            (slow / fast, f"C {strength:g}: {slow:.2f} s / {fast:.2f} s, log loss {found[0]:.4f} ({found[1]:.4f})")
        )
    value, unit = min(each)
    said = f"time of LogisticRegression on float64 / ours, 20,000 × 512, the least of {len(C)} penalties; {unit}"
    return {"logistic_vs_sklearn": {"value": value, "unit": said, "goal": 2.5}}


def lightgbm(quick: bool) -> dict[str, Any]:
    """Lean trees against LightGBM's defaults, as many of them."""
    from lightgbm import LGBMClassifier

    rows = 5_000 if quick else 20_000
    X, y, X_new, y_new = split(*features(rows + 5_000, 512), rows)
    lean = {
        **ENTRIES["heads"]["lightgbm"],
        **LEAN,
        "n_estimators": TREES,
        "learning_rate": 0.1,
        "min_child_samples": 20,
    }
    ours = partial(of("lightgbm", **lean).fit, X, y)
    theirs = partial(LGBMClassifier(n_estimators=TREES, n_jobs=1, verbose=-1).fit, X, y)
    (fast, slow), (one, other) = interleaved(ours, theirs, runs=1 if quick else 2)
    found = surprise(one.predict_proba(X_new), y_new), surprise(other.predict_proba(X_new), y_new)
    refuse_unless(found[0] <= found[1] + NEAR, f"lightgbm: log loss {found[0]:.4f} against {found[1]:.4f}")
    said = (
        f"time of {TREES} trees, defaults / lean, {rows:,} × 512; log loss of new rows {found[1]:.4f} / {found[0]:.4f}"
    )
    return {"lightgbm_vs_default": {"value": slow / fast, "unit": said, "goal": 5}}


def grid(quick: bool) -> dict[str, Any]:
    """Folds × seeds × resamplers × heads, as the fit stage runs them, in one process and in two."""
    rows, dims, folds, seeds = (2_000, 128, 5, 1) if quick else (5_000, 512, 5, 3)
    X, y = features(rows, dims)
    cases = Cases(X, y, np.arange(rows), np.ones(rows, bool), CLASSES)
    parts = np.array_split(np.random.default_rng(0).permutation(rows), folds)
    asked = [
        (Pair(entry("resamplers", resampler), entry("heads", head)), parts[fold], (seed, fold))
        for resampler in RESAMPLERS
        for head in HEADS
        for seed in range(seeds)
        for fold in range(folds)
    ]

    def run(workers: int) -> list[np.ndarray]:
        return list(engine.map(partial(_fold, cases), asked, workers, "grid"))

    (two, one), results = interleaved(partial(run, 2), partial(run, 1), runs=1)
    refuse_unless(all(map(np.array_equal, *results)), "grid: two processes give other probabilities than one")
    said = f"one process / two ({one:.0f} s / {two:.0f} s): {len(asked)} fits at {rows:,} × {dims}, equal bits"
    return {"grid_two_processes": {"value": one / two, "unit": said, "goal": 1.8}}


def _fold(cases: Cases, asked: tuple[Pair, np.ndarray, tuple[int, int]]) -> np.ndarray:
    pair, rows, seed = asked
    train = np.setdiff1d(np.arange(len(cases.y)), rows)
    with arms.one_thread_each():
        return arms.fit_fold(cases, train, rows, pair, PROTOCOL, seed).probabilities


def million(quick: bool) -> dict[str, Any]:
    """Memory and time of heads and arms on many memory-mapped rows, each in a process of its own."""
    rows = 200_000 if quick else 1_000_000
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "X.npy"
        np.save(Path(folder) / "y.npy", write(file, rows, 512))
        for head in ("logistic", "lightgbm"):
            for kind in ("head", "arm"):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    peak, seconds = process.submit(_large, file, head, kind).result()
                said = (
                    f"size of {rows:,} × 512 float32 / memory of the {kind}: "
                    f"{rows * 2048 / 1e9:.2f} GB / {peak / 1e9:.2f} GB, in {seconds:.0f} s"
                )
                # An arm holds one copy of the training rows, four fifths of all.
                goal = 1 / (1 if kind == "arm" else 0.5)
                made[f"{head}_{kind}_memory"] = {"value": rows * 2048 / peak, "unit": said, "goal": goal}
    return made


def _large(file: Path, head: str, kind: str) -> tuple[float, float]:
    """Largest anonymous memory above what was there before, in bytes, and seconds."""
    X, y = np.load(file, mmap_mode="r"), np.load(file.with_name("y.npy"))
    of(head).fit(X[:1000], y[:1000])  # imports
    with arms.one_thread_each(), watched() as peak:
        start = time.perf_counter()
        if kind == "head":
            of(head).fit(X, y)
        else:
            cases = Cases(X, y, np.arange(len(y)), np.ones(len(y), bool), CLASSES)
            train, rows = np.split(np.arange(len(y)), [len(y) * 4 // 5])
            arms.fit_fold(cases, train, rows, Pair(entry("resamplers", "none"), entry("heads", head)), PROTOCOL, (0, 0))
        seconds = time.perf_counter() - start
    return peak[0], seconds


@contextmanager
def watched() -> Iterator[list[float]]:
    """The largest growth of this process's anonymous memory, in bytes, looked at every 20 ms."""
    before, peak, done = _anonymous(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _anonymous() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _anonymous() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def features(rows: int, dims: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scaled features (rows, dims) float32 and class numbers (rows,)."""
    X, y = next(chunks(rows, dims, seed, rows))
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def chunks(rows: int, dims: int, seed: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features not yet scaled, and class numbers, `size` rows at a time."""
    rng = np.random.default_rng(seed)
    means = APART * rng.normal(size=(len(CLASSES), HIDDEN)).astype(np.float32)
    mix = rng.normal(size=(HIDDEN, dims)).astype(np.float32) / np.float32(np.sqrt(HIDDEN))
    shares = 0.5 ** np.arange(len(CLASSES))
    for start in range(0, rows, size):
        y = rng.choice(len(CLASSES), min(size, rows - start), p=shares / shares.sum())
        causes = rng.standard_normal((len(y), HIDDEN), np.float32) + means[y]
        X = causes @ mix + np.float32(NOISE) * rng.standard_normal((len(y), dims), np.float32)
        yield np.maximum(X, 0), y


def write(file: Path, rows: int, dims: int) -> np.ndarray:
    """Write features as an .npy file, a chunk at a time; returns the class numbers."""
    X, labels, start = np.lib.format.open_memmap(file, "w+", np.float32, (rows, dims)), [], 0
    for part, y in chunks(rows, dims, 0, 50_000):
        X[start : start + len(y)] = part
        labels.append(y)
        start += len(y)
    X.flush()
    return np.concatenate(labels)


def split(X: np.ndarray, y: np.ndarray, rows: int) -> tuple[np.ndarray, ...]:
    return X[:rows], y[:rows], X[rows:], y[rows:]


def entry(kind: str, name: str, **changed: Any) -> Entry:
    return Entry(kind, name, {**ENTRIES[kind][name], **changed}, f"{kind}.{name}")


def of(head: str, **changed: Any) -> Any:
    """A head of params.yaml with other values."""
    return entry("heads", head, **changed).bound(CLASSES)(random_state=0)


def interleaved(one: Callable[[], Any], other: Callable[[], Any], runs: int) -> tuple[list[float], list[Any]]:
    """The least seconds of both, and what they returned last."""
    least, results = [np.inf, np.inf], [None, None]
    for _ in range(runs):
        for number, work in enumerate((one, other)):
            start = time.perf_counter()
            results[number] = work()
            least[number] = min(least[number], time.perf_counter() - start)
    return least, results


def surprise(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Log loss."""
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def refuse_unless(true: bool, what: str) -> None:
    if not true:
        sys.exit(what)


def score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float((probabilities.argmax(axis=1) == labels).mean())


PROTOCOL = Protocol(folds=3, most=16, metric="accuracy", score=score)


if __name__ == "__main__":
    main()

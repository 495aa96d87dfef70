"""Intervals over patients: how long for twenty arms, against scikit-learn draw by draw, and equal to it.

    python benchmarks/judge.py [--quick] [--json FILE]

10,000 rows of 4 classes (3, 22, 53 and 22 %, as breast densities are) and of 3,000 patients; twenty arms whose
probabilities differ. `bootstrap_20_arms` is what `evaluate` takes for them in one process on one core: every figure of
METRICS and of CLASSWISE in 2,000 draws, with the draws themselves; `judge_20_arms` is all that is said of each arm,
figures of validation and of three folds included. The naive way is a loop over draws that gives scikit-learn each
row's count as `sample_weight`; its time for a few draws is scaled to 2,000. Compiled loops are warm: the first run on
a machine compiles them, for some seconds. No other work should run.
"""

import time
from collections.abc import Callable
from typing import Any

import claims
import numpy as np
import sklearn.metrics as sk
from threadpoolctl import threadpool_limits

from pipeline.judge import arms, counts, curves, intervals, metrics
from pipeline.judge.arms import Rows
from pipeline.judge.tally import Predictions

ROWS, PATIENTS, SHARES, ARMS, DRAWS, SECONDS = 10_000, 3_000, (0.03, 0.22, 0.53, 0.22), 20, 2_000, 3.0
NAIVE_DRAWS = 4
WANTED = metrics.METRICS | {f"class {name}": metric for name, metric in metrics.CLASSWISE.items()}


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    labels, patients = rng.choice(4, ROWS, p=SHARES), intervals.codes(rng.integers(0, PATIENTS, ROWS))
    each = [Predictions(labels, probabilities(labels, rng)) for _ in range(ARMS)]
    with threadpool_limits(1):
        claims.publish(measured(each, patients, repeats=1 if options.quick else 3), options.json)


def probabilities(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 4) float64 of an arm whose AUC is about 0.8."""
    scores = np.exp(rng.normal(size=(len(labels), 4)) + 1.2 * np.eye(4)[labels])
    return scores / scores.sum(axis=1, keepdims=True)


def measured(each: list[Predictions], patients: np.ndarray, repeats: int) -> dict[str, dict[str, Any]]:
    one = each[0]
    drawn = intervals.bootstrap(one, patients, WANTED, DRAWS, 0)  # compiles
    intervals.jackknife(one, patients, WANTED)
    rows = [Rows(of, np.arange(ROWS) % 3, patients) for of in each]
    seconds = {
        "bootstrap": least(
            lambda: [intervals.bootstrap(fresh(of), patients, WANTED, DRAWS, 0) for of in each], repeats
        ),
        "bca": least(lambda: [corrected(fresh(of), patients) for of in each], repeats),
        "judge": least(lambda: [arms.judge(of, of, "quadratic", DRAWS, 0.95, 0) for of in rows], repeats),
        "curves": least(lambda: curves.each(fresh(one), patients, DRAWS, 0.95, 0), repeats + 1),
    }
    start = time.perf_counter()
    naive = [by_scikit_learn(one, weights) for weights in weightings(patients)]
    of_naive = (time.perf_counter() - start) / NAIVE_DRAWS * DRAWS * ARMS
    apart = max(abs(drawn[name][draw] - value) for draw, of in enumerate(naive) for name, value in of.items())
    bound = f"{SECONDS:g} s / seconds"
    return {
        "bootstrap_20_arms": {"value": SECONDS / seconds["bootstrap"], "unit": bound, "goal": 1},
        "bootstrap_bca_20_arms": {"value": SECONDS / seconds["bca"], "unit": f"{bound}, BCa", "goal": 1},
        "judge_20_arms": {"value": SECONDS / seconds["judge"], "unit": f"{bound}, all of judge", "goal": 1},
        "curves_4_classes": {"value": 1 / seconds["curves"], "unit": "1 s / seconds, bands of one arm", "goal": 1},
        "bootstrap_vs_scikit_learn": {
            "value": of_naive / seconds["bootstrap"],
            "unit": "seconds of METRICS draw by draw / ours",
            "goal": 100,
        },
        "bootstrap_equal_to_scikit_learn": {
            "value": 1e-5 / max(apart, 1e-12),
            "unit": "1e-5 / greatest difference",
            "goal": 1,
        },
    }


def least(run: Callable[[], object], repeats: int) -> float:
    """Fewest wall seconds; the draws are made anew each time."""
    found = []
    for _ in range(repeats):
        counts.drawn.cache_clear()
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def fresh(of: Predictions) -> Predictions:
    """The same without what was computed of it before."""
    return Predictions(of.labels, of.probabilities)


def corrected(of: Predictions, patients: np.ndarray) -> None:
    """Draws, jackknife and both ends of every figure."""
    draws, left_out = intervals.bootstrap(of, patients, WANTED, DRAWS, 0), intervals.jackknife(of, patients, WANTED)
    for name, point in metrics.point(of, WANTED).items():
        intervals.ends(draws[name], point, left_out[name], 0.95)


def weightings(patients: np.ndarray) -> list[np.ndarray]:
    """How often each row counts in each of the first draws, (n,) float64."""
    times = counts.drawn(int(patients.max()) + 1, DRAWS, 0)[0]
    return [times[patients, draw].astype(float) for draw in range(NAIVE_DRAWS)]


def by_scikit_learn(given: Predictions, weights: np.ndarray) -> dict[str, float]:
    """METRICS that scikit-learn has."""
    labels, of, own = given.labels, {"sample_weight": weights}, given.targets
    said, p = given.predicted, given.probabilities
    return {
        "macro_f1": float(sk.f1_score(labels, said, average="macro", **of)),
        "kappa": float(sk.cohen_kappa_score(labels, said, weights="quadratic", **of)),
        "balanced_accuracy": float(sk.balanced_accuracy_score(labels, said, **of)),
        "balanced_accuracy_adjusted": float(sk.balanced_accuracy_score(labels, said, adjusted=True, **of)),
        "auc": float(np.mean([sk.roc_auc_score(own[:, k], p[:, k], **of) for k in range(4)])),
        "average_precision": float(np.mean([sk.average_precision_score(own[:, k], p[:, k], **of) for k in range(4)])),
        "accuracy": float(sk.accuracy_score(labels, said, **of)),
        "brier": float(sk.brier_score_loss(labels, p, labels=range(4), scale_by_half=False, **of)),
        "log_loss": float(sk.log_loss(labels, p, **of)),
    }


if __name__ == "__main__":
    main()

"""What comparisons say over many simulated data sets of which the truth is known."""

from functools import cache

import numpy as np
import pandas as pd

from pipeline.judge import classwise, comparison, intervals, metrics
from pipeline.judge.arms import Judged
from pipeline.judge.comparison import COMPARED, Terms
from pipeline.judge.means import OF_CLASS
from pipeline.judge.tally import Predictions

SIMULATED = 200
PATIENTS, IMAGES = 120, 2  # of each
SHARES = (0.1, 0.3, 0.6)
DRAWS = 250
TOLD = ("better", "worse")


def arm(labels: np.ndarray, shared: np.ndarray, skill: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities (n, 3): what every arm sees of a patient and an image, and what this one makes of them."""
    own = np.repeat(rng.normal(0, 0.7, (PATIENTS, 3)), IMAGES, axis=0)
    scores = np.exp(skill * np.eye(3)[labels] + shared + own + rng.normal(size=shared.shape))
    return scores / scores.sum(axis=1, keepdims=True)


def judged(labels: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, seed: int) -> Judged:
    wanted = {name: metrics.registry("quadratic")[name] for name in COMPARED}
    wanted[OF_CLASS + "recall"] = metrics.recall
    of = Predictions(labels, probabilities)
    draws = intervals.bootstrap(of, patients, wanted, DRAWS, seed)
    point = {name: float(value) for name, value in metrics.point(of, wanted).items() if name in COMPARED}
    own = classwise.patients_with(of.present, patients)
    return Judged({"test": point, "folds": {}}, {"patients": own}, draws, PATIENTS)


def simulate(seed: int, skills: dict[str, float]) -> pd.DataFrame:
    """Comparisons of every arm with the first, on one data set whose images are alike within patients."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(PATIENTS), IMAGES)
    labels = rng.choice(3, PATIENTS, p=SHARES)[patients]
    shared = rng.normal(0, 0.7, (PATIENTS, 3))[patients] + rng.normal(0, 0.5, (len(patients), 3))
    arms = {name: judged(labels, arm(labels, shared, skill, rng), patients, seed) for name, skill in skills.items()}
    first, *others = arms
    table = comparison.compare(arms, {"first": [(name, first) for name in others]}, Terms(0.95, 0, np.nan))
    return table.assign(seed=seed)


@cache
def equal() -> pd.DataFrame:
    """Ten arms against an eleventh, all of the same worth."""
    skills = {f"arm {number}": 1.5 for number in range(11)}
    return pd.concat([simulate(seed, skills) for seed in range(SIMULATED)])


def test_of_two_equal_arms_one_is_called_better_no_more_often_than_it_should_be():
    alone = (equal()["p"] < 0.05).groupby(equal()["metric"]).mean()  # as if each were the only comparison
    assert len(equal()) == SIMULATED * 10 * len(COMPARED)
    assert (alone <= 0.07).all()
    assert (alone >= 0.03).all()


def test_among_ten_equal_arms_any_is_called_better_or_worse_no_more_often_than_it_should_be():
    any_told = equal()["verdict"].isin(TOLD).groupby([equal()["metric"], equal()["seed"]]).any()
    any_alone = (equal()["p"] < 0.05).groupby([equal()["metric"], equal()["seed"]]).any()
    assert (any_told.groupby("metric").mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / SIMULATED)).all()
    assert (any_alone.groupby("metric").mean() > 0.2).all()  # what the correction takes away


def test_a_truly_better_arm_is_found_among_ten():
    skills = {"first": 1.2, **{f"equal {number}": 1.2 for number in range(8)}, "good": 2.4, "bad": 0.0}
    table = pd.concat([simulate(seed, skills) for seed in range(20)])
    found = table.groupby(["arm", "metric"])["verdict"].agg(lambda of: of.mode()[0]).unstack()
    assert set(found.loc["good"]) == {"better"}
    assert set(found.loc["bad"]) == {"worse"}
    assert set(found.drop(index=["good", "bad"]).to_numpy().ravel()) == {"can't tell"}
    told = table.assign(told=table["verdict"].isin(TOLD)).groupby("arm")["told"].mean()
    assert told["good"] > 0.8
    assert told["bad"] > 0.7


def test_the_sign_of_a_verdict_is_that_of_the_truth():
    table = pd.concat([simulate(seed, {"first": 1.2, "good": 2.0}) for seed in range(30)])
    assert "worse" not in set(table["verdict"])

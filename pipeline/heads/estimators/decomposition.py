"""Classifiers made of others: along a tree of the classes, or along their order."""

from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin

from pipeline.heads.estimators.conventions import Head, unfitted

Tree = Any  # a label, or a tuple of trees


class Hierarchical(MetaEstimatorMixin, Head):
    """A classifier at each branching of a tree, learned from the rows below it; probabilities multiply on the way down.

    Where the rows to learn from go down one branch only, it has the probability 1.

    Args:
        estimator: any classifier with predict_proba; a copy of it is learned at each branching.
        tree: labels in nested tuples, such as (("A", "B"), "C"); None: all labels side by side.
    """

    def __init__(self, estimator: Any, tree: Tree = None) -> None:
        self.estimator = estimator
        self.tree = tree

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        tree = tuple(self.classes_.tolist()) if self.tree is None else self.tree
        strange = set(self.classes_.tolist()) - set(leaves(tree))
        if strange:
            raise ValueError(f"the tree lacks the classes {', '.join(map(str, sorted(strange)))}")
        number_of = {label: number for number, label in enumerate(self.classes_.tolist())}
        self.branchings_: list[tuple[list[list[int]], Any]] = []
        self._grow(tree, number_of, X, numbers)

    def _grow(self, tree: Tree, number_of: dict[Any, int], X: np.ndarray, numbers: np.ndarray) -> None:
        """Learn at each branching, from the top, whose branches have rows."""
        branches = [(branch, [number_of[label] for label in leaves(branch) if label in number_of]) for branch in tree]
        branches = [(branch, below) for branch, below in branches if below]
        if len(branches) > 1:
            branch_of = np.full(len(number_of), -1)
            for place, (_, below) in enumerate(branches):
                branch_of[below] = place
            here = np.flatnonzero(branch_of[numbers] >= 0)
            fitted = unfitted(self.estimator).fit(X[here], branch_of[numbers[here]])
            self.branchings_.append(([below for _, below in branches], fitted))
        for branch, below in branches:
            if len(below) > 1:
                self._grow(branch, number_of, X, numbers)

    def _probabilities(self, X: np.ndarray) -> np.ndarray:
        probabilities = np.ones((len(X), len(self.classes_)))
        for branches, fitted in self.branchings_:
            of_branch = fitted.predict_proba(X)
            for place, below in enumerate(branches):
                probabilities[:, below] *= of_branch[:, [place]]
        return probabilities


class Ordinal(MetaEstimatorMixin, Head):
    """For K classes in order, K - 1 classifiers of "higher than class k".

    Frank & Hall 2001, doi:10.1007/3-540-44795-4_13. Their answers are sorted, so that "higher" never becomes more
    probable as k grows: rearrangement brings estimates of a monotone function closer to it (Chernozhukov et al. 2009,
    doi:10.1093/biomet/asp030).

    Args:
        estimator: any classifier with predict_proba; a copy of it is learned for each of the K - 1 questions.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        steps = range(len(self.classes_) - 1)
        self.higher_ = [unfitted(self.estimator).fit(X, (numbers > step).astype(int)) for step in steps]

    def _probabilities(self, X: np.ndarray) -> np.ndarray:
        higher = [fitted.predict_proba(X)[:, 1] for fitted in self.higher_]
        rising = np.sort(np.stack([np.zeros(len(X)), *higher, np.ones(len(X))], axis=1), axis=1)  # (m, K + 1) float64
        return np.diff(rising, axis=1)[:, ::-1]


def leaves(tree: Tree) -> list[Any]:
    """Labels of a tree from left to right."""
    return [label for branch in tree for label in leaves(branch)] if isinstance(tree, tuple) else [tree]

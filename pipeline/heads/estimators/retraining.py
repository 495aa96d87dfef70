"""Linear softmax heads that are learned again with every class as frequent: Kang et al. 2020, arXiv:1910.09217.

Features are fixed, so that the classifier is all there is to learn. By stochastic gradient descent with momentum 0.9
and a step length that falls as half a cosine, as the authors do it.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from pipeline.heads.estimators.losses import softmax
from pipeline.heads.estimators.softmax import SoftmaxHead

Order = Callable[[np.ndarray, np.random.RandomState], np.ndarray]  # class numbers (n,) → positions of an epoch
Slope = Callable[[np.ndarray, np.ndarray], np.ndarray]  # weights, positions of a batch → gradient of its mean loss


class Retrained(SoftmaxHead):
    """Classifier re-training (cRT): a linear softmax that is learned from balanced batches.

    `lr` and `weight_decay` are for rows whose mean square length is 1, to which X is brought first: they suit any
    number of dimensions.
    """

    def __init__(
        self,
        lr: float = 1.0,
        weight_decay: float = 0.0005,
        batch_size: int = 64,
        epochs: int = 30,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.random_state = random_state

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        self._learn_linear(X, numbers, balanced, check_random_state(self.random_state))

    def _learn_linear(
        self, X: np.ndarray, numbers: np.ndarray, order: Order, random_state: np.random.RandomState
    ) -> None:
        length = X.dtype.type(np.sqrt(np.einsum("ij,ij->i", X, X).mean()) or 1)

        def slope(weights: np.ndarray, batch: np.ndarray) -> np.ndarray:
            rows = X[batch] / length
            error = _error(rows @ weights[:-1] + weights[-1], numbers[batch])
            return np.concatenate([rows.T @ error + self.weight_decay * weights[:-1], error.sum(axis=0)[None]])

        start = np.zeros((X.shape[1] + 1, len(self.classes_)), X.dtype)  # the last row are the biases
        learned = self._descend(start, slope, partial(order, numbers, random_state))
        self.coef_, self.intercept_ = (learned[:-1] / length).T, learned[-1]

    def _descend(self, weights: np.ndarray, slope: Slope, order: Callable[[], np.ndarray]) -> np.ndarray:
        velocity = np.zeros_like(weights)
        for epoch in range(self.epochs):
            positions = order()
            batches = np.array_split(positions, -(-len(positions) // self.batch_size))
            for number, batch in enumerate(batches):
                done = (epoch + number / len(batches)) / self.epochs
                velocity = 0.9 * velocity + slope(weights, batch)
                weights = weights - self.lr * 0.5 * (1 + math.cos(math.pi * done)) * velocity
        return weights

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return X @ self.coef_.T + self.intercept_


class Rescaled(Retrained):
    """Learnable weight scaling (LWS): a linear softmax of natural batches, its logits scaled by a factor per class.

    The factors alone are learned from balanced batches; the weights keep their directions.
    """

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        random_state = check_random_state(self.random_state)
        self._learn_linear(X, numbers, natural, random_state)
        logits = self._logits(X)

        def slope(scales: np.ndarray, batch: np.ndarray) -> np.ndarray:
            here = logits[batch]
            return (here * _error(here * scales, numbers[batch])).sum(axis=0)

        ones = np.ones(len(self.classes_), X.dtype)
        self.scales_ = self._descend(ones, slope, partial(balanced, numbers, random_state))
        self.coef_ = self.coef_ * self.scales_[:, None]
        self.intercept_ = self.intercept_ * self.scales_


def natural(numbers: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
    """Every row once: positions (n,)."""
    return random_state.permutation(len(numbers))


def balanced(numbers: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
    """Positions of every class equally often, n in all, rounded up; a row comes again when all of its class came."""
    counts = np.bincount(numbers)
    share = -(-len(numbers) // len(counts))
    dealt = []
    for number, count in enumerate(counts):
        own = np.flatnonzero(numbers == number)
        passes = [random_state.permutation(own) for _ in range(-(-share // count))]
        dealt.append(np.concatenate(passes)[:share])
    return random_state.permutation(np.concatenate(dealt))


def _error(logits: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Derivative of the mean cross-entropy with respect to the logits, (B, K)."""
    error = softmax(logits)
    error[np.arange(len(numbers)), numbers] -= 1
    return error / len(numbers)

"""A network with one hidden layer, by numpy.

In layers this small the time goes into matrix products, which numpy does as fast as torch does. Torch would add its
import, and threads of its own that nothing here limits.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from pipeline.heads.estimators import losses
from pipeline.heads.estimators.losses import Loss, LossName
from pipeline.heads.estimators.softmax import SoftmaxHead
from pipeline.heads.estimators.weights import ClassWeight, row_weights

Layers = list[np.ndarray]  # hidden weights (D, H) and biases (H,), last weights (H, K) and biases (K,)


class Perceptron(SoftmaxHead):
    """One hidden layer of rectified units, learned by AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).

    With the loss `ldam` the last layer gives cosines: its inputs and weights have length 1, and it has no biases.
    """

    def __init__(
        self,
        hidden: int = 128,
        loss: LossName = "cross_entropy",
        gamma: float = 2.0,
        beta: float = 0.999,
        margin: float = 0.5,
        scale: float = 30.0,
        class_weight: ClassWeight = None,
        lr: float = 0.001,
        weight_decay: float = 0.01,
        batch_size: int = 128,
        epochs: int = 30,
        patience: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.loss: LossName = loss
        self.gamma = gamma
        self.beta = beta
        self.margin = margin
        self.scale = scale
        self.class_weight: ClassWeight = class_weight
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.random_state = random_state

    @available_if(lambda self: self.patience is not None)
    def stopped(self, X: np.ndarray, y: np.ndarray, X_stop: np.ndarray, y_stop: np.ndarray) -> Self:
        """An unfitted copy whose epochs are as many as were best for rows that it does not learn from.

        Best is the least mean of the loss that it learns with; after `patience` epochs without a better one it ends.

        Args:
            X: rows to learn from, (n, D).
            y: their labels, (n,).
            X_stop: rows to watch, in their natural frequencies, of other patients, (m, D).
            y_stop: their labels, (m,); those that are not in y are left aside.

        Raises:
            ValueError: none of y_stop is in y.
        """
        trial = self._copy()
        X, numbers = trial._checked(X, y)
        X_stop, watched_numbers = trial._watched(X_stop, y_stop)
        best, least, loss = 1, np.inf, trial._loss(numbers)
        for epoch, layers in enumerate(islice(trial._passes(X, numbers, loss), self.epochs), start=1):
            watched = loss.values(_forward(layers, X_stop, trial._cosine)[1], watched_numbers).mean(dtype=np.float64)
            if watched < least:
                best, least = epoch, watched
            elif epoch - best >= (self.patience or 0):
                break
        return self._copy(epochs=best, patience=None)

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        loss = self._loss(numbers)
        *_, self.layers_ = islice(self._passes(X, numbers, loss), self.epochs)
        self.scale_ = loss.scale

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return self.scale_ * _forward(self.layers_, X, self._cosine)[1]

    @property
    def _cosine(self) -> bool:
        return self.loss == "ldam"

    def _loss(self, numbers: np.ndarray) -> Loss:
        counts = np.bincount(numbers)
        weights = row_weights(self.class_weight, self.classes_, numbers)[np.unique(numbers, return_index=True)[1]]
        return losses.of(self.loss, counts, weights, self.gamma, self.beta, self.margin, self.scale)

    def _passes(self, X: np.ndarray, numbers: np.ndarray, loss: Loss) -> Iterator[Layers]:
        """The layers after each epoch; they change in place."""
        random_state = check_random_state(self.random_state)
        layers = _start(X.shape[1], self.hidden, len(loss.weights), random_state, X.dtype)
        step = _adam(layers, self.lr, self.weight_decay)
        while True:
            order = random_state.permutation(len(X))
            for rows in np.array_split(order, -(-len(X) // self.batch_size)):
                step(_gradients(layers, X[rows], numbers[rows], loss, self._cosine))
            yield layers


def _start(dimensions: int, hidden: int, classes: int, random_state: np.random.RandomState, dtype: np.dtype) -> Layers:
    """He et al. 2015, arXiv:1502.01852, for the hidden layer; the last layer has its inputs' scale."""
    first = random_state.normal(scale=np.sqrt(2 / dimensions), size=(dimensions, hidden))
    last = random_state.normal(scale=np.sqrt(1 / hidden), size=(hidden, classes))
    return [array.astype(dtype) for array in (first, np.zeros(hidden), last, np.zeros(classes))]


def _forward(layers: Layers, X: np.ndarray, cosine: bool) -> tuple[np.ndarray, np.ndarray]:
    """Hidden activations (B, H) and logits (B, K)."""
    first, first_bias, last, last_bias = layers
    active = X @ first
    active += first_bias
    np.maximum(active, 0, out=active)
    if cosine:
        return active, _unit(active, 1)[0] @ _unit(last, 0)[0]
    return active, active @ last + last_bias


def _gradients(layers: Layers, X: np.ndarray, y: np.ndarray, loss: Loss, cosine: bool) -> Layers:
    """Derivatives of the mean loss of rows X (B, D), y (B,) with respect to each of the layers."""
    active, logits = _forward(layers, X, cosine)
    by_logits = loss.gradient(logits, y)
    last, inputs = layers[2], active
    if cosine:
        (last, width), (inputs, length) = _unit(last, 0), _unit(active, 1)
    by_last, by_inputs = inputs.T @ by_logits, by_logits @ last.T
    by_bias = by_logits.sum(axis=0)
    if cosine:
        by_last = _through_unit(by_last, last, width, 0)
        by_inputs = _through_unit(by_inputs, inputs, length, 1)
        by_bias[:] = 0
    by_inputs *= active > 0
    return [X.T @ by_inputs, by_inputs.sum(axis=0), by_last, by_bias]


def _unit(vectors: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1, and the lengths that they had; a vector of zeros stays one."""
    lengths = np.sqrt(np.square(vectors).sum(axis=axis, keepdims=True))
    lengths = np.maximum(lengths, np.sqrt(np.finfo(vectors.dtype).tiny))
    return vectors / lengths, lengths


def _through_unit(slope: np.ndarray, unit: np.ndarray, lengths: np.ndarray, axis: int) -> np.ndarray:
    """From the derivative with respect to a unit vector to that with respect to the vector."""
    return (slope - unit * (slope * unit).sum(axis=axis, keepdims=True)) / lengths


def _adam(layers: Layers, lr: float, weight_decay: float) -> Callable[[Layers], None]:
    """A step of AdamW on the layers, in place, from their gradients; biases do not decay."""
    means, squares = [np.zeros_like(layer) for layer in layers], [np.zeros_like(layer) for layer in layers]
    keep, keep_square, steps = 0.9, 0.999, 0

    def step(gradients: Layers) -> None:
        nonlocal steps
        steps += 1
        size, unbias = lr / (1 - keep**steps), 1 / math.sqrt(1 - keep_square**steps)
        for layer, slope, mean, square in zip(layers, gradients, means, squares, strict=True):
            mean *= keep
            mean += (1 - keep) * slope
            square *= keep_square
            slope *= slope
            square += (1 - keep_square) * slope
            if layer.ndim > 1:
                layer *= 1 - lr * weight_decay
            change = np.sqrt(square)  # in place from here: arrays of this size cost more to make than to change
            change *= unbias
            change += 1e-8
            np.divide(mean, change, out=change)
            change *= size
            layer -= change

    return step

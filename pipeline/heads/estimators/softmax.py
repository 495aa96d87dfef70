"""Heads whose probabilities are the softmax of scores."""

import numpy as np

from pipeline.heads.estimators.conventions import Head
from pipeline.heads.estimators.losses import softmax


class SoftmaxHead(Head):
    """A classifier that has `_learn` and `_logits`."""

    def _probabilities(self, X: np.ndarray) -> np.ndarray:
        return softmax(self._logits(X))

    def _logits(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

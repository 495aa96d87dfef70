"""What our own heads share: scikit-learn's conventions around `_learn` and `_probabilities`."""

from typing import Any, Self

import numpy as np
from sklearn import base
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import validation
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

FLOATS: Any = [np.float64, np.float32]  # either stays what it is
validate_data: Any = validation.validate_data  # unannotated, and a type checker guesses from its defaults
unfitted: Any = base.clone  # likewise


class Head(ClassifierMixin, BaseEstimator):
    """A classifier of one label per row; `classes_` are sorted."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Learn from rows X (n, D) with labels y (n,)."""
        self._learn(*self._checked(X, y))
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities in the order of `classes_`, (m, K)."""
        check_is_fitted(self)
        return self._probabilities(validate_data(self, X, reset=False, dtype=FLOATS))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each row, (m,)."""
        places = self.predict_proba(X).argmax(axis=1)
        return self.classes_[places]

    def _checked(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and the numbers of their classes, (n,) int."""
        X, y = validate_data(self, X, y, dtype=FLOATS)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        return X, numbers

    def _watched(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows to watch for early stopping, as `_checked`, without those of a class that is not learned."""
        known = np.isin(y, self.classes_)
        if not known.any():
            raise ValueError("early stopping has no row to watch of a class that is learned")
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        return X[known], np.searchsorted(self.classes_, np.asarray(y)[known])

    def _copy(self, **changed: Any) -> Self:
        """An unfitted copy, with other params."""
        return unfitted(self).set_params(**changed)

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        raise NotImplementedError

    def _probabilities(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

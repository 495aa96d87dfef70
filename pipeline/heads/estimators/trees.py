"""Gradient-boosted trees that know when to stop."""

from typing import Any, Self

import numpy as np
from sklearn.utils.metaestimators import available_if

from pipeline.heads.estimators.conventions import Head
from pipeline.heads.estimators.weights import ClassWeight, refuse_one_class, row_weights


class Boosted(Head):
    """LightGBM (Ke et al. 2017, NeurIPS 30), with one thread, so that equal seeds give equal trees.

    Rows are put into bins of a byte each: float32 is read where it lies, and not copied.
    """

    def __init__(
        self,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        min_child_samples: int = 20,
        max_bin: int = 255,
        colsample_bytree: float = 1.0,
        class_weight: ClassWeight = None,
        patience: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.max_bin = max_bin
        self.colsample_bytree = colsample_bytree
        self.class_weight: ClassWeight = class_weight
        self.patience = patience
        self.random_state = random_state

    @available_if(lambda self: self.patience is not None)
    def stopped(self, X: np.ndarray, y: np.ndarray, X_stop: np.ndarray, y_stop: np.ndarray) -> Self:
        """An unfitted copy whose rounds are as many as were best for rows that it does not learn from.

        Best is the least log loss; after `patience` rounds without a better one it ends.

        Args:
            X: rows to learn from, (n, D).
            y: their labels, (n,).
            X_stop: rows to watch, in their natural frequencies, of other patients, (m, D).
            y_stop: their labels, (m,); those that are not in y are left aside.

        Raises:
            ValueError: none of y_stop is in y.
        """
        from lightgbm import early_stopping

        trial = self._copy()
        X, numbers = trial._checked(X, y)
        X_stop, y_stop = trial._watched(X_stop, y_stop)
        trees = trial._trees().fit(
            X,
            numbers,
            sample_weight=trial._weights(numbers),
            eval_X=X_stop,
            eval_y=y_stop,
            callbacks=[early_stopping(self.patience or 0, verbose=False)],
        )
        return self._copy(n_estimators=trees.best_iteration_, patience=None)

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        refuse_one_class(self.classes_)
        self.trees_ = self._trees().fit(X, numbers, sample_weight=self._weights(numbers))

    def _probabilities(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.trees_.predict_proba(X))

    def _weights(self, numbers: np.ndarray) -> np.ndarray | None:
        return None if self.class_weight is None else row_weights(self.class_weight, self.classes_, numbers)

    def _trees(self) -> Any:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            max_bin=self.max_bin,
            colsample_bytree=self.colsample_bytree,
            random_state=self.random_state,
            # Bins by quantiles of these rows; with the default, 200,000, they take 8 bytes a value.
            subsample_for_bin=20_000,
            deterministic=True,
            # Column by column, features that a tree leaves out cost nothing; row by row, all together cost half.
            force_col_wise=self.colsample_bytree < 0.5,
            force_row_wise=self.colsample_bytree >= 0.5,
            n_jobs=1,
            verbose=-1,
        )

"""Heads by name: (random_state: int, **params) → an unfitted scikit-learn classifier."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Constant:
    """Stands for the head of a label that is present in all training rows or in none: nothing can be learned."""

    present: float

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """The same (m, 2) float64 for every row."""
        return np.tile([1 - self.present, self.present], (len(X), 1))


def logistic(random_state: int, C: float, max_iter: int) -> Any:
    """Multinomial logistic regression, L2 penalty of strength 1/C, lbfgs (no randomness)."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, max_iter=max_iter, random_state=random_state)


def lightgbm(
    random_state: int,
    n_estimators: int,
    learning_rate: float,
    num_leaves: int,
    min_child_samples: int,
    max_bin: int,
    colsample_bytree: float,
) -> Any:
    """Gradient-boosted trees (Ke et al. 2017, NeurIPS 30); one thread, so that equal seeds give equal trees."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        num_leaves=num_leaves,
        min_child_samples=min_child_samples,
        max_bin=max_bin,
        colsample_bytree=colsample_bytree,
        random_state=random_state,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )


def mlp(random_state: int, hidden: int, alpha: float, tol: float, max_iter: int) -> Any:
    """One hidden layer of rectified units, L2 penalty alpha, Adam (Kingma & Ba 2015, arXiv 1412.6980).

    Stops when five epochs did not lower the training loss by `tol`: no rows are held out, since the smallest class can
    spare none.
    """
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        hidden_layer_sizes=(hidden,),
        alpha=alpha,
        tol=tol,
        n_iter_no_change=5,
        max_iter=max_iter,
        random_state=random_state,
    )


HEADS: dict[str, Callable[..., Any]] = {"logistic": logistic, "lightgbm": lightgbm, "mlp": mlp}
"""What learns classes from features."""

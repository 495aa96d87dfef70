"""Linear heads: logistic regression, its weights normalised, and a support vector machine."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from pipeline.heads.estimators.descent import Linear, descend, scores_of, softmax_loss, squared_hinge_loss
from pipeline.heads.estimators.losses import log_softmax
from pipeline.heads.estimators.softmax import SoftmaxHead
from pipeline.heads.estimators.weights import ClassWeight, refuse_one_class, row_weights

PARTS = 3  # that the rows are dealt into where a linear SVM learns how steep its probabilities are


class Logistic(SoftmaxHead):
    """Multinomial logistic regression with the penalty of scikit-learn's: at equal C, equal probabilities.

    Differs from LogisticRegression in `coef_`, which has a row for each of two classes, and in weights of classes,
    which are brought to a mean of 1 over the rows.

    Attributes:
        coef_: (K, D) float64.
        intercept_: (K,) float64.
        n_iter_: steps of L-BFGS.
    """

    def __init__(
        self, C: float = 1.0, max_iter: int = 1000, tol: float = 1e-4, class_weight: ClassWeight = None
    ) -> None:
        self.C = C
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight: ClassWeight = class_weight

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        weights = row_weights(self.class_weight, self.classes_, numbers)
        found = _likeliest(X, numbers, weights, self.C, self.max_iter, self.tol)
        self.coef_, self.intercept_, self.n_iter_ = found.coef, found.intercept, found.iterations

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return scores_of(X, self.coef_, self.intercept_)


class TauNormalised(SoftmaxHead):
    """Logistic regression whose weights of each class are divided by their length to the power of tau.

    Kang et al. 2020, arXiv:1910.09217: rare classes get short weights, and so too little of the space; tau 0 leaves the
    weights, 1 gives all the same length. The biases go, as there: all classes score 0 at the mean of the rows. Of two
    classes the lengths are equal, and the bias is all that changes. The mean length (geometric) stays, and with it how
    steep the probabilities are.

    Attributes:
        coef_: (K, D) float64.
        intercept_: (K,) float64.
        n_iter_: steps of L-BFGS.
    """

    def __init__(self, C: float = 1.0, max_iter: int = 1000, tol: float = 1e-4, tau: float = 0.5) -> None:
        self.C = C
        self.max_iter = max_iter
        self.tol = tol
        self.tau = tau

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        found = _likeliest(X, numbers, np.ones(len(X)), self.C, self.max_iter, self.tol)
        lengths = np.maximum(np.linalg.norm(found.coef, axis=1), np.finfo(np.float64).tiny)
        shrink = (lengths / np.exp(np.log(lengths).mean())) ** -self.tau
        self.coef_, self.n_iter_ = found.coef * shrink[:, None], found.iterations
        self.intercept_ = -self.coef_ @ X.mean(axis=0, dtype=np.float64)

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return scores_of(X, self.coef_, self.intercept_)


class LinearSVM(SoftmaxHead):
    """Linear support vector machine: each class against the others, squared hinge loss (Fan et al. 2008, JMLR 9:1871).

    Differs from LinearSVC in its bias, which goes free of the penalty. Probabilities are the softmax of `scale_` × the
    margins, so that the most probable class is that of the largest margin (Guo et al. 2017, arXiv:1706.04599). The one
    scale is fitted on the rows of `fit` alone: these are dealt into three parts, and margins of each part come from a
    machine that was fitted on the others. Copies and synthetic relatives of a row may stand in several parts; where
    rows were resampled, calibration on validation rows says more.

    Attributes:
        coef_: (K, D) float64.
        intercept_: (K,) float64.
        scale_: of the margins.
        n_iter_: steps of L-BFGS.
    """

    def __init__(
        self,
        C: float = 1.0,
        max_iter: int = 1000,
        tol: float = 1e-4,
        class_weight: ClassWeight = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.C = C
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight: ClassWeight = class_weight
        self.random_state = random_state

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        refuse_one_class(self.classes_)
        weights = row_weights(self.class_weight, self.classes_, numbers)
        found = self._descended(X, numbers, weights)
        _warn_unless_flat(found, self.max_iter, self.tol)
        self.coef_, self.intercept_, self.n_iter_ = found.coef, found.intercept, found.iterations
        part = _dealt(numbers, check_random_state(self.random_state))
        margins = np.empty((len(X), len(self.classes_)), X.dtype)
        for number in range(PARTS):
            # Weights of 0 leave rows out without a copy of the others.
            without = self._descended(X, numbers, np.where(part == number, 0, weights))
            margins[part == number] = scores_of(X[part == number], without.coef, without.intercept)
        self.scale_ = _steepness(margins, numbers, weights)

    def _descended(self, X: np.ndarray, numbers: np.ndarray, weights: np.ndarray) -> Linear:
        penalty = 1 / (self.C * weights.sum())
        return descend(
            X, numbers, weights, len(self.classes_), squared_hinge_loss, 1.0, penalty, self.max_iter, self.tol
        )

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return scores_of(X, self.coef_, self.intercept_) * X.dtype.type(self.scale_)


def _likeliest(X: np.ndarray, numbers: np.ndarray, weights: np.ndarray, C: float, max_iter: int, tol: float) -> Linear:
    """Weights of logistic regression, for rows whose weights (n,) have mean 1."""
    shares = np.bincount(numbers, weights) / len(numbers)
    # Of two classes, one score would do; as two, each has half of it, and their squares sum to half of its square.
    penalty = (2 if len(shares) == 2 else 1) / (C * len(X))
    curvature = float(np.mean(shares * (1 - shares)))
    found = descend(
        X, numbers, weights, len(shares), softmax_loss, curvature, penalty, max_iter, tol, intercept=np.log(shares)
    )
    _warn_unless_flat(found, max_iter, tol)
    return found


def _dealt(numbers: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
    """Part of each row, (n,) int; each class is spread over the parts as evenly as it goes."""
    part = np.empty(len(numbers), int)
    order = random_state.permutation(len(numbers))
    by_class = order[np.argsort(numbers[order], kind="stable")]
    part[by_class] = np.arange(len(numbers)) % PARTS
    return part


def _steepness(margins: np.ndarray, numbers: np.ndarray, weights: np.ndarray) -> float:
    """The scale of the margins (n, K) whose softmax is most likely."""
    from scipy.optimize import minimize_scalar

    def surprise(log_scale: float) -> float:
        likely = log_softmax(margins * np.exp(log_scale))
        return -float(weights @ likely[np.arange(len(numbers)), numbers])

    found: Any = minimize_scalar(surprise, bounds=(-5, 3), method="bounded")
    return float(np.exp(found.x))


def _warn_unless_flat(found: Linear, max_iter: int, tol: float) -> None:
    if found.iterations >= max_iter and found.slope > tol:
        warnings.warn(
            f"stopped after {max_iter} steps with a slope of {found.slope:.2g}, above tol {tol:g}: raise max_iter",
            ConvergenceWarning,
            stacklevel=2,
        )

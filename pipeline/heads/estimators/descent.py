"""Linear scores for several classes by L-BFGS, over rows that stay where they are.

Rows are read in blocks that fit a processor's cache, once for each step: float32 stays float32, a memory-mapped array
is not copied, and sums over blocks are float64.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Loss = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""(scores (K, b), class numbers (b,), weights (b,)) → weighted sum of losses; the scores become its slope."""

CACHE = 600_000  # products in a block: OpenBLAS multiplies small matrices without packing them, twice as fast
PACKED = 1024  # rows in a block where that is out of reach
WIDEST = 2048  # dimensions up to which their correlations are worth being factored
PER_DIMENSION = 8  # rows per dimension that estimate these


@dataclass(frozen=True)
class Linear:
    """Scores X @ coef.T + intercept.

    Attributes:
        coef: (K, D) float64.
        intercept: (K,) float64.
        iterations: of L-BFGS.
        slope: largest absolute value of the gradient, reached after these.
    """

    coef: np.ndarray
    intercept: np.ndarray
    iterations: int
    slope: float


def descend(
    X: np.ndarray,
    numbers: np.ndarray,
    weights: np.ndarray,
    classes: int,
    loss: Loss,
    curvature: float,
    penalty: float,
    max_iter: int,
    tol: float,
    intercept: np.ndarray | None = None,
) -> Linear:
    """Minimise the weighted mean of losses + penalty / 2 × the squared length of the weights; biases go free.

    L-BFGS (Liu & Nocedal 1989, doi:10.1007/BF01589116) after a change of variables in which the rows are uncorrelated
    and the penalty counts: cached features are so correlated that this saves half of the steps and more.

    Args:
        X: (n, D) float32 or float64.
        numbers: class numbers, (n,) int.
        weights: (n,), above 0.
        classes: K.
        loss: of a block.
        curvature: typical second derivative of the loss with respect to a score.
        penalty: above 0.
        max_iter: steps.
        tol: largest absolute value of the gradient to stop at.
        intercept: biases to start from, (K,).
    """
    from scipy.linalg import solve_triangular
    from scipy.optimize import minimize

    shape = (X.shape[1] + 1, classes)
    weights = (weights / weights.sum()).astype(X.dtype)
    factor = _factor(X, curvature, penalty)
    slope = np.inf

    def original(inner: np.ndarray) -> np.ndarray:
        inner = inner.reshape(shape)
        return inner if factor is None else solve_triangular(factor.T, inner)

    def value(inner: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal slope
        outer = original(inner)
        found, gradient = _sweep(X, numbers, weights, outer, loss)
        gradient[:-1] += penalty * outer[:-1]
        slope = float(np.abs(gradient).max())
        inner_gradient = gradient if factor is None else solve_triangular(factor, gradient, lower=True)
        return found + penalty / 2 * float(np.square(outer[:-1]).sum()), inner_gradient.ravel()

    def stop_if_flat(_: np.ndarray) -> None:
        if slope <= tol:
            raise StopIteration

    start = np.zeros(shape)
    if intercept is not None:
        start[-1] = intercept
    done = minimize(
        value,
        (start if factor is None else factor.T @ start).ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=stop_if_flat,
        # Steps end by the slope with respect to the weights themselves, or where sums show no gain for rounding.
        options={"maxiter": max_iter, "maxls": 50, "gtol": 0.0, "ftol": np.finfo(X.dtype).eps / 1000, "maxcor": 10},
    )
    found = original(done.x)
    return Linear(found[:-1].T.copy(), found[-1].copy(), int(done.nit), slope)


def scores_of(X: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Scores of rows (m, D), (m, K) in the type of X."""
    return X @ coef.T.astype(X.dtype) + intercept.astype(X.dtype)


def softmax_loss(scores: np.ndarray, numbers: np.ndarray, weights: np.ndarray) -> float:
    """Cross-entropy of the softmax of scores (K, b)."""
    rows = np.arange(len(numbers))
    scores -= scores.max(axis=0)
    own = scores[numbers, rows]
    np.exp(scores, out=scores)
    total = scores.sum(axis=0)
    scores *= weights / total
    scores[numbers, rows] -= weights
    return float(weights @ (np.log(total) - own))


def squared_hinge_loss(scores: np.ndarray, numbers: np.ndarray, weights: np.ndarray) -> float:
    """Each class against the others, max(0, 1 - margin)² (Fan et al. 2008, LIBLINEAR, JMLR 9:1871)."""
    rows = np.arange(len(numbers))
    scores[numbers, rows] *= -1
    scores += 1  # 1 - margin: the margin of the others is -score
    np.maximum(scores, 0, out=scores)
    total = float(weights @ np.square(scores).sum(axis=0))
    scores *= 2 * weights
    scores[numbers, rows] *= -1
    return total


def _sweep(
    X: np.ndarray, numbers: np.ndarray, weights: np.ndarray, theta: np.ndarray, loss: Loss
) -> tuple[float, np.ndarray]:
    """Sum of losses, and its gradient with respect to theta, (D + 1, K) float64 with the biases last."""
    coef, intercept = np.ascontiguousarray(theta[:-1].T, X.dtype), theta[-1:].T.astype(X.dtype)
    size = CACHE // coef.size if CACHE // coef.size >= 64 else PACKED
    total, by_coef, by_intercept = 0.0, np.zeros(coef.shape), np.zeros(len(coef))
    for first in range(0, len(X), size):
        here = slice(first, first + size)
        scores = coef @ X[here].T  # (K, b)
        scores += intercept
        total += loss(scores, numbers[here], weights[here])
        by_coef += scores @ X[here]
        by_intercept += scores.sum(axis=1)
    return total, np.concatenate([by_coef.T, by_intercept[None]])


def _factor(X: np.ndarray, curvature: float, penalty: float) -> np.ndarray | None:
    """Cholesky factor of a typical Hessian of one class, (D + 1, D + 1) lower; None where X is too wide for it."""
    from scipy.linalg import cholesky

    dimensions = X.shape[1]
    if dimensions > WIDEST:
        return None
    some = X[:: max(1, len(X) // (PER_DIMENSION * (dimensions + 1)))]
    some = np.concatenate([some, np.ones((len(some), 1), X.dtype)], axis=1)
    hessian = (some.T @ some).astype(np.float64) * (curvature / len(some))
    diagonal = np.einsum("ii->i", hessian)
    diagonal += 1e-5 * diagonal.mean() + np.finfo(np.float64).tiny  # directions that few rows show stay defined
    diagonal[:-1] += penalty
    return cholesky(hessian, lower=True)

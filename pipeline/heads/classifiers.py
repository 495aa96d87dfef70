"""Heads by name: (random_state: int, **values) → an unfitted scikit-learn classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pipeline.choices import NotNegative, Positive
from pipeline.heads.estimators import networks, structured
from pipeline.heads.estimators.weights import ClassWeight, CostMatrix, class_weights

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Constant:
    """Stands for the head of a label that is present in all training rows or in none: nothing can be learned."""

    present: float

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """The same (m, 2) float64 for every row."""
        return np.tile([1 - self.present, self.present], (len(X), 1))


def logistic(
    random_state: int,
    C: Positive,
    max_iter: Count = 1000,
    class_weight: ClassWeight = None,
    cost: CostMatrix = None,
) -> Any:
    """Multinomial logistic regression, L2 penalty of strength 1/C, L-BFGS (no randomness)."""
    from pipeline.heads.estimators.linear import Logistic

    return Logistic(C=C, max_iter=max_iter, class_weight=class_weights(class_weight, cost))


def tau_norm(random_state: int, C: Positive, tau: NotNegative, max_iter: Count = 1000) -> Any:
    """Logistic regression, then weights of each class over their length to the power tau (arXiv:1910.09217)."""
    from pipeline.heads.estimators.linear import TauNormalised

    return TauNormalised(C=C, max_iter=max_iter, tau=tau)


def linear_svm(
    random_state: int,
    C: Positive,
    max_iter: Count = 1000,
    class_weight: ClassWeight = None,
    cost: CostMatrix = None,
) -> Any:
    """Linear support vector machine, one against the rest, L2 penalty of strength 1/C, L-BFGS."""
    from pipeline.heads.estimators.linear import LinearSVM

    weights = class_weights(class_weight, cost)
    return LinearSVM(C=C, max_iter=max_iter, class_weight=weights, random_state=random_state)


def knn(random_state: int, n_neighbors: Count, weights: Literal["uniform", "distance"] = "uniform") -> Any:
    """Shares of the classes among the nearest rows, all of them measured (Cover & Hart 1967)."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(n_neighbors=n_neighbors, weights=weights, algorithm="brute", n_jobs=1)


def lightgbm(
    random_state: int,
    n_estimators: Count,
    learning_rate: Positive,
    num_leaves: Annotated[int, Field(ge=2)],
    min_child_samples: Count,
    max_bin: Annotated[int, Field(ge=2)],
    colsample_bytree: Share,
    patience: Count | None = None,
    class_weight: ClassWeight = None,
    cost: CostMatrix = None,
) -> Any:
    """Gradient-boosted trees (Ke et al. 2017, NeurIPS 30); `patience` finds how many of the n_estimators are enough."""
    from pipeline.heads.estimators.trees import Boosted

    return Boosted(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        num_leaves=num_leaves,
        min_child_samples=min_child_samples,
        max_bin=max_bin,
        colsample_bytree=colsample_bytree,
        class_weight=class_weights(class_weight, cost),
        patience=patience,
        random_state=random_state,
    )


def random_forest(
    random_state: int,
    n_estimators: Count = 100,
    min_samples_leaf: Count = 1,
    class_weight: ClassWeight = None,
    cost: CostMatrix = None,
    classes: Sequence[str] = (),
) -> Any:
    """Random forest (Breiman 2001, doi:10.1023/A:1010933404324)."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=n_estimators,
        min_samples_leaf=min_samples_leaf,
        class_weight=class_weights(class_weight, cost, classes),
        n_jobs=1,
        random_state=random_state,
    )


def balanced_random_forest(random_state: int, n_estimators: Count = 100, min_samples_leaf: Count = 1) -> Any:
    """Random forest whose trees each see as many rows of every class (Chen, Liaw & Breiman 2004, Berkeley TR 666)."""
    from imblearn.ensemble import BalancedRandomForestClassifier

    return BalancedRandomForestClassifier(
        n_estimators=n_estimators,
        min_samples_leaf=min_samples_leaf,
        n_jobs=1,
        random_state=random_state,
    )


def balanced_bagging(random_state: int, n_estimators: Count = 10) -> Any:
    """Trees on bootstrap samples with the larger classes cut down (Hido et al. 2009, doi:10.1002/sam.10061)."""
    from imblearn.ensemble import BalancedBaggingClassifier

    return BalancedBaggingClassifier(n_estimators=n_estimators, n_jobs=1, random_state=random_state)


def easy_ensemble(random_state: int, n_estimators: Count = 10) -> Any:
    """AdaBoost on samples with the larger classes cut down (Liu, Wu & Zhou 2009, doi:10.1109/TSMCB.2008.2007853)."""
    from imblearn.ensemble import EasyEnsembleClassifier

    return EasyEnsembleClassifier(n_estimators=n_estimators, n_jobs=1, random_state=random_state)


def rus_boost(random_state: int, n_estimators: Count = 50, learning_rate: Positive = 1.0, max_depth: Count = 1) -> Any:
    """AdaBoost, the larger classes cut down in every round (Seiffert et al. 2010, doi:10.1109/TSMCA.2009.2029559)."""
    from imblearn.ensemble import RUSBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    return RUSBoostClassifier(
        estimator=DecisionTreeClassifier(max_depth=max_depth),
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        random_state=random_state,
    )


HEADS: dict[str, Callable[..., Any]] = {
    "logistic": logistic,
    "lightgbm": lightgbm,
    "mlp": networks.mlp,
    "linear_svm": linear_svm,
    "tau_norm": tau_norm,
    "crt": networks.crt,
    "lws": networks.lws,
    "ncm": structured.ncm,
    "knn": knn,
    "random_forest": random_forest,
    "balanced_random_forest": balanced_random_forest,
    "balanced_bagging": balanced_bagging,
    "easy_ensemble": easy_ensemble,
    "rus_boost": rus_boost,
    "hierarchical": structured.hierarchical,
    "ordinal": structured.ordinal,
}

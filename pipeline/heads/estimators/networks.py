"""Heads that are learned by gradient descent; an estimator is imported when one is made."""

from typing import Annotated, Any

from pydantic import Field

from pipeline.choices import NotNegative, Open, Positive
from pipeline.errors import PipelineError
from pipeline.heads.estimators.losses import LossName
from pipeline.heads.estimators.weights import ClassWeight, CostMatrix, class_weights

Count = Annotated[int, Field(ge=1)]


def mlp(
    random_state: int,
    hidden: Count = 128,
    loss: LossName = "cross_entropy",
    gamma: NotNegative = 2.0,
    beta: Open = 0.999,
    margin: Positive = 0.5,
    scale: Positive = 30.0,
    class_weight: ClassWeight = None,
    cost: CostMatrix = None,
    lr: Positive = 0.001,
    weight_decay: NotNegative = 1.0,
    batch_size: Count = 128,
    epochs: Count = 50,
    patience: Count | None = None,
) -> Any:
    """A network with one hidden layer, AdamW, and a softmax loss.

    `gamma` is for the loss focal, `beta` for class_balanced, `margin` and `scale` for ldam: see `losses.of`.
    `patience` finds how many of the epochs are enough.

    Raises:
        PipelineError: both the class weights and the loss balance the classes.
    """
    if class_weight == "balanced" and loss in ("class_balanced", "balanced_softmax"):
        what = f"class_weight balanced and loss {loss} would balance the classes twice"
        raise PipelineError("class_weight, loss", what, "leave class_weight out, or take the loss cross_entropy")
    from pipeline.heads.estimators.perceptron import Perceptron

    return Perceptron(
        hidden=hidden,
        loss=loss,
        gamma=gamma,
        beta=beta,
        margin=margin,
        scale=scale,
        class_weight=class_weights(class_weight, cost),
        lr=lr,
        weight_decay=weight_decay,
        batch_size=batch_size,
        epochs=epochs,
        patience=patience,
        random_state=random_state,
    )


def crt(
    random_state: int,
    lr: Positive = 1.0,
    weight_decay: NotNegative = 0.0001,
    batch_size: Count = 64,
    epochs: Count = 30,
) -> Any:
    """Classifier re-training: a linear softmax by gradient descent from balanced batches.

    Kang et al. 2020, arXiv:1910.09217.
    """
    from pipeline.heads.estimators.retraining import Retrained

    return Retrained(lr, weight_decay, batch_size, epochs, random_state)


def lws(
    random_state: int,
    lr: Positive = 1.0,
    weight_decay: NotNegative = 0.0001,
    batch_size: Count = 64,
    epochs: Count = 30,
) -> Any:
    """Learnable weight scaling: a linear softmax of natural batches, then a factor per class from balanced ones.

    Kang et al. 2020, arXiv:1910.09217.
    """
    from pipeline.heads.estimators.retraining import Rescaled

    return Rescaled(lr, weight_decay, batch_size, epochs, random_state)

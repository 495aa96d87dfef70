import numpy as np
import pandas as pd
import pytest

from pipeline.report import words
from pipeline.report.sections import training

NAMES = words.metric_names("none")
ROLES = {"train": {"classes": {"a": 6, "b": 3, "c": 0}}, "val": {"classes": {"a": 1, "b": 2, "c": 0}}}
SUMMARY = {"classes": ["a", "b", "c"], "folds": [{"fold": 0, "roles": ROLES}]}


def trained(epochs: int = 3, **columns) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    table = pd.DataFrame({"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 2 / epoch, "lr": 3e-5, "trainable": 7})
    table = table.assign(**{f"val_{key}": epoch / 10 for key in training.CURVES})
    table = table.assign(**{f"{kind}_{name}": epoch / 8 for kind in ("predicted", "recall") for name in "abc"})
    collapse = ["never_predicted b; kappa", *[np.nan] * (epochs - 1)]
    return table.assign(collapse=collapse, grad_norm=2.5, seconds=1.5, chosen=epoch == 2, **columns)


def test_every_epoch_is_told_with_what_was_trained_and_how_it_collapsed():
    told = training.training({"fold-0": trained(), "fold-1": trained(2)}, SUMMARY, "abc", NAMES, True)
    assert told["trained"] == ["fold-0", "fold-1"]
    assert (told["epoch_seconds"], told["collapsed_epochs"], len(told["epochs"])) == (7.5, 2, 5)
    assert told["epochs"][0] == {
        "backbone": "fold-0",
        "epoch": 1,
        "chosen": False,
        "collapse": "b is never predicted; low kappa",
        "train_loss": 1.0,
        "val_loss": 2.0,
        "val_macro_f1": 0.1,
        "lr": 3e-5,
        "trainable": 7,
        "grad_norm": 2.5,
        "seconds": 1.5,
    }
    assert [epoch["chosen"] for epoch in told["epochs"]] == [False, True, False, False, True]


@pytest.mark.parametrize(("multilabel", "said"), [(True, "Recall of each label"), (False, "Share of the predictions")])
def test_labels_are_drawn_by_their_recall_and_classes_by_their_share(multilabel, said):
    told = training.training({"fold-0": trained()}, SUMMARY, "abc", NAMES, multilabel)
    ((name, figure),) = told["class_figures"]
    assert name == "fold-0"
    assert f'aria-label="{said}' in figure


def test_the_rarest_class_that_has_images_is_drawn_beside_loss_and_metrics():
    told = training.training({"fold-0": trained()}, SUMMARY, "abc", NAMES, False)
    assert told["trained_rarest"] == "b"
    assert len(told["history_figures"]) == 6
    assert "Validation recall of the rarest by epoch" in told["history_figures"][-1]
    others = training.training({"fold-0": trained(recall_b=0.0)}, SUMMARY, "abc", NAMES, False)
    assert others["history_figures"][-1] != told["history_figures"][-1]
    assert others["history_figures"][:-1] == told["history_figures"][:-1]


def test_an_epoch_with_signs_of_collapse_is_marked_by_a_cross():
    sound = trained().assign(collapse=np.nan)
    one, none = (
        training.training({"fold-0": table}, SUMMARY, "abc", NAMES, False)["history_figures"][1]
        for table in (trained(), sound)
    )
    assert one.count('class="cross"') == none.count('class="cross"') + 1


def test_a_backbone_is_said_to_have_collapsed_by_the_epoch_that_was_kept():
    empty = pd.DataFrame(columns=["epoch"])
    kept = trained().assign(collapse=[np.nan, "kappa", np.nan])
    sound = trained().assign(collapse=np.nan)
    assert training.collapsed({"fold-0": trained(), "fold-1": kept, "fold-2": sound, "shared": empty}) == ["fold-1"]


def test_a_backbone_that_was_not_trained_has_nothing_to_tell():
    told = training.training({"shared": pd.DataFrame(columns=["epoch"])}, SUMMARY, "abc", NAMES, False)
    assert not told["trained"]
    assert not told["history_figures"]
    assert not told["epochs"]

"""Cases worth a look: the surest of the wrong decisions, and the least certain of all."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.judge.tally import Multilabel, Predictions

MOST = 24  # of each kind
COLUMNS = ["image_id", "fold", "actual", "predicted", "probability", "of_actual", "kind"]


def table(
    given: Predictions | Multilabel,
    certainty: np.ndarray,
    images: Sequence[str],
    folds: np.ndarray,
    names: Sequence[str],
) -> pd.DataFrame:
    """At most MOST errors, the most probable first, then at most MOST others in doubt, the least certain first.

    Each image is there once, in the fold where it is worst; of labels once for each of them that is known.

    Args:
        given: predictions of n rows.
        certainty: of each decision, (n,), or of each label's, (n, L).
        images: image_id of each row, (n,).
        folds: (n,) int.
        names: of the classes or labels.

    Returns:
        columns COLUMNS: `probability` of what was decided, `of_actual` that of what is there, `kind` error or doubt.
        Of labels both are such as `Mass` or `no Mass`.
    """
    every = _of_labels(given, names) if isinstance(given, Multilabel) else _of_classes(given, names)
    row = every["row"].to_numpy()
    every = every.assign(image_id=np.asarray(images, dtype=object)[row], fold=folds[row])
    every["certainty"] = certainty[given.known] if isinstance(given, Multilabel) else certainty
    wrong = every["actual"] != every["predicted"]
    errors = _first(every[wrong].sort_values("probability", ascending=False, kind="stable"))
    left = every.drop(errors.index)
    seen = pd.MultiIndex.from_frame(left[["image_id", "label"]]).isin(
        pd.MultiIndex.from_frame(errors[["image_id", "label"]])
    )
    doubts = _first(left[~seen].sort_values("certainty", kind="stable"))
    return pd.concat([errors.assign(kind="error"), doubts.assign(kind="doubt")], ignore_index=True)[COLUMNS]


def _first(cases: pd.DataFrame) -> pd.DataFrame:
    return cases.drop_duplicates(["image_id", "label"]).head(MOST)


def _of_classes(given: Predictions, names: Sequence[str]) -> pd.DataFrame:
    rows, titles = np.arange(len(given.labels)), np.array(names, dtype=object)
    return pd.DataFrame(
        {
            "row": rows,
            "label": 0,
            "actual": titles[given.labels],
            "predicted": titles[given.predicted],
            "probability": given.probabilities[rows, given.predicted],
            "of_actual": given.probabilities[rows, given.labels],
        }
    )


def _of_labels(given: Multilabel, names: Sequence[str]) -> pd.DataFrame:
    """A case for each label of each row where it is known, in their order."""
    row, label = np.nonzero(given.known)
    present, chosen, positive = (of[row, label] for of in (given.present, given.chosen, given.probabilities))
    titles = np.array([[f"no {name}", name] for name in names], dtype=object)
    return pd.DataFrame(
        {
            "row": row,
            "label": label,
            "actual": titles[label, present.astype(int)],
            "predicted": titles[label, chosen.astype(int)],
            "probability": np.where(chosen, positive, 1 - positive),
            "of_actual": np.where(present, positive, 1 - positive),
        }
    )

"""What the audit's page is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import Pictures


@dataclass(frozen=True)
class Audited:
    """What an audit found, and what the page shows it with.

    Attributes:
        title: of the page.
        checks: as in audit.json: value, threshold, verdict, rows, row_count, finding, question and figures by check.
        tables: what a person should look at, by check, an image or a pair in each row.
        arrays: of map.npz; empty where there is no map.
        index: image_id and what else is known of images; empty where nothing is.
        params: checks whose threshold stands in section audit of params.yaml.
        pictures: the picture store; None where there is none.
        tested: image_id and `predicted` of the images that the selected arm was tested on; None where there is no arm.
        gallery: whether pictures and image ids may be shown.
        ordered: whether the classes have an order.
    """

    title: str
    checks: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    index: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"image_id": pd.Series(dtype="str")}))
    params: frozenset[str] = frozenset()
    pictures: Pictures | None = None
    tested: pd.DataFrame | None = None
    gallery: bool = True
    ordered: bool = False

    @property
    def classes(self) -> list[str]:
        """Names, in the order of their numbers."""
        return self.arrays["classes"].tolist() if self.arrays else []

    @cached_property
    def places(self) -> pd.Series:
        """Position in the picture store by image_id; empty where no picture may be shown."""
        if self.pictures is None or not self.gallery:
            return pd.Series(dtype=int)
        return pd.Series(range(len(self.pictures)), self.pictures.rows["image_id"])

    def known(self, ids: np.ndarray) -> pd.DataFrame:
        """Rows of the index for image ids (n,), in their order; empty text where an image is not in it."""
        return pd.DataFrame({"image_id": ids}).merge(self.index, on="image_id", how="left")

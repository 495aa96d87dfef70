"""Who comes first, on validation, and whom each is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.contest.contestants import Contestant
from pipeline.contest.entries import Entry
from pipeline.judge import collapse, comparison
from pipeline.judge.arms import Judged, is_better
from pipeline.params import Evaluate, Grid


@dataclass(frozen=True)
class Standing:
    """Everyone judged, in order.

    Attributes:
        of: contestants by name.
        judged: their judgements.
        ranked: names from best to worst on validation, the selected one first.
        unproven: variants that were not selected since they are not surely better than their arm.
        baselines: by name, the arm with the same head without resampling; "" where there is none.
    """

    of: Mapping[str, Contestant]
    judged: Mapping[str, Judged]
    ranked: list[str]
    unproven: set[str]
    baselines: Mapping[str, str]

    @property
    def selected(self) -> str:
        """Name of the best."""
        return self.ranked[0]

    @property
    def best(self) -> dict[str, str]:
        """By arm, itself or its variant that is best on validation."""
        return {self.of[name].arm: name for name in reversed(self.ranked)}

    @property
    def leading(self) -> list[str]:
        """The arms and, of the variants that stand above their arm, the best, in order."""
        best = self.best
        return [name for name in self.ranked if name in (self.of[name].arm, best[self.of[name].arm])]


def stand(
    of: Mapping[str, Contestant], judged: Mapping[str, Judged], entries: Mapping[str, Entry], how: Evaluate, grid: Grid
) -> Standing:
    """Rank everyone on validation; select the first that is not there by luck."""
    constant = {name for name, one in of.items() if collapse.is_constant(one.val.predictions)}
    ranked = comparison.rank({name: one.figures["val"] for name, one in judged.items()}, how.select, constant)
    by_chance = unproven(of, how)
    selected = next(name for name in ranked if name not in by_chance)
    ranked = [selected, *(name for name in ranked if name != selected)]
    baselines = {name: baseline(one.arm, grid, entries) for name, one in of.items()}
    return Standing(of, judged, ranked, by_chance, baselines)


def unproven(of: Mapping[str, Contestant], how: Evaluate) -> set[str]:
    """Variants fitted on validation that are not better there than their arm by more than chance.

    None of them is selected: of many figures of few rare images, the luckiest is the highest, and the simpler rule is
    kept until another is surely better (as by the one-standard-error rule of Breiman et al. 1984).
    """
    pairs = {name: (one, of[one.arm]) for name, one in of.items() if one.tuned}
    what = how.select[0], how.kappa, how.draws, how.confidence, how.seed
    return {name for name, (one, arm) in pairs.items() if not is_better(one.val, arm.val, *what)}


def baseline(arm: str, grid: Grid, entries: Mapping[str, Entry]) -> str:
    """The arm with the same head without resampling; "" where there is none, as for a vote or a stack."""
    pairs = {f"{resampler}-{head}": head for resampler in grid.resamplers for head in grid.heads}
    if arm in pairs:
        return f"none-{pairs[arm]}"
    head = entries[arm].report.get("head")
    alike = (one for one in entries if one in pairs and head and entries[one].report.get("head") == head)
    return next((one for one in alike if one.startswith("none-")), "")

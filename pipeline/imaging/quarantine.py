"""What stands in the quarantine table. A reason is `kind` or `kind: detail`."""

from collections import Counter
from collections.abc import Iterable, Mapping


def count_reasons(quarantine: Iterable[Mapping[str, str]]) -> str:
    """Counts by kind of reason, the most frequent first, as `3 no label, 1 empty file`."""
    counts = Counter(row["reason"].partition(":")[0] for row in quarantine)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common()) or "none"

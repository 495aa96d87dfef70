"""What every benchmark shares: its options, its table, its JSON."""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

try:
    from rich.console import Console
    from rich.table import Table
except ModuleNotFoundError:  # a machine that has a GPU and torch, and nothing else
    Console = None


COLUMNS = ("claim", "value", "goal", "unit")


def parser(description: str) -> argparse.ArgumentParser:
    """Options `--quick` and `--json FILE`; a benchmark adds its own."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="fewer repetitions")
    options.add_argument("--json", type=Path, help="write the claims here too")
    return options


def publish(claims: dict[str, dict[str, Any]], file: Path | None) -> None:
    """Print claims (value, unit, goal; larger is better) as a table, and write them with the machine's name."""
    rows = [(name, f"{claim['value']:.3g}", f"{claim['goal']:.3g}", claim["unit"]) for name, claim in claims.items()]
    if Console is None:
        print(*("\t".join(row) for row in [COLUMNS, *rows]), sep="\n")
    else:
        table = Table(*COLUMNS)
        for row in rows:
            table.add_row(*row)
        Console(width=120).print(table)
    if file:
        file.write_text(json.dumps({"machine": machine(), "claims": claims}, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import torch  # late: the children of a benchmark import its modules too

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }

"""What each module of the package imports, read from its syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules() -> list[Path]:
    """Every source file of the package, relative to the repository."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / "pipeline").rglob("*.py"))


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at any depth; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_files(path: Path) -> set[Path]:
    """Files of the package that a file imports."""
    places = [Path(*name.split(".")) for name in imported_names(path) if name.split(".")[0] == "pipeline"]
    candidates = {place.with_suffix(".py") for place in places} | {place / "__init__.py" for place in places}
    return {candidate for candidate in candidates if (ROOT / candidate).exists()}


def closure(entry: Path) -> set[Path]:
    """A file and all files of the package that it needs."""
    todo, seen = [entry], set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += imported_files(path)
    return seen

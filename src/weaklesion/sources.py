"""Which modules of the package a stage uses, so that changing one re-runs what depends on it.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent

# Their changes cannot move a result: messages, progress, bookkeeping.
UNTRACKED = frozenset({"__init__", "errors", "files", "progress", "provenance"})


def module_files(*modules: str) -> list[str]:
    """Return the files of some modules and of all modules of the package that they import.

    Args:
        modules: names inside the package, such as `patches` or `datasets.ham10k`.

    Raises:
        ValueError: if there is no such module.
    """
    found: dict[str, Path] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in found or name in UNTRACKED:
            continue
        path = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        if not path.is_file():
            raise ValueError(f"module: there is no weaklesion.{name}")
        found[name] = path
        todo += _imports(path)
    return sorted(str(path) for path in found.values())


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the names inside the package that a file imports anywhere."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    inside = [name.removeprefix("weaklesion.") for name in names if name.startswith("weaklesion.")]
    return tuple(
        name for name in inside if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file()
    )

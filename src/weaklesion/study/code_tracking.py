"""Modules of the package that a stage uses, so that a change re-runs every rule that depends on it.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import ast
import os
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# A change of these modules cannot move a result: messages, limits of settings, progress, records,
# this module, and the list of networks, whose existing entries do not change
# (tests/library/test_models.py).
UNTRACKED = frozenset(
    {
        "__init__",
        "errors",
        "networks.names",
        "study.code_tracking",
        "support.files",
        "support.limits",
        "support.listing",
        "support.progress",
        "support.provenance",
    }
)


def module_files(*modules: str) -> list[str]:
    """Return the files of some modules and of all modules of the package that they import.

    An import of a package itself (`from weaklesion.metrics import dice`) counts its `__init__.py`;
    an import of a module inside the package does not.

    Args:
        modules: names inside the package, such as `data.patches` or `data.loaders.ham10k`.

    Returns:
        Sorted paths, relative to the working directory in the cases of `path_from_here`.

    Raises:
        ValueError: if a module does not exist, or imports a module that does not exist.
    """
    return list(_module_files(modules, PACKAGE, Path.cwd()))


@cache
def _module_files(modules: tuple[str, ...], package: Path, here: Path) -> tuple[str, ...]:
    """Return the same, computed once per working directory because many rules share modules."""
    found: dict[str, Path] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in found or name in UNTRACKED:
            continue
        path = _file_of(name)
        if path is None:
            raise ValueError(f"module: there is no weaklesion.{name}")
        found[name] = path
        todo += _imports(path)
    start = path_from_here(package, package.parents[1])
    return tuple(sorted(os.path.join(start, path.relative_to(package)) for path in found.values()))


def path_from_here(path: str | Path, root: str | Path) -> str:
    """Return the path of a file of the workflow's folder as an input of a rule.

    The path is relative if the working directory is the workflow's folder, lies inside it or beside
    it, or directly contains it: both can then be moved together, and no job runs again. Otherwise
    the path is absolute, so that the working directory alone can be moved.

    Args:
        path: a file under `root`.
        root: the workflow's folder.
    """
    here, root = Path.cwd().resolve(), Path(root).resolve()
    path = root / Path(path).resolve().relative_to(root)
    together = root in (here, *here.parents) or root.parent in (here, here.parent)
    return os.path.relpath(path, here) if together else str(path)


def _file_of(name: str) -> Path | None:
    """Return the file of a module or package of weaklesion; None if it does not exist."""
    stem = os.path.join(PACKAGE, *name.split("."))
    candidates = (os.path.join(stem, "__init__.py"), f"{stem}.py")  # in Python's own order
    return next((Path(path) for path in candidates if os.path.isfile(path)), None)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the modules of the package that a file imports anywhere, by their names inside it.

    Raises:
        ValueError: if the file imports a module of the package that does not exist.
    """
    folder = ".".join(("weaklesion", *path.parent.relative_to(PACKAGE).parts))
    names = []
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("weaklesion.")]
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), folder)
            if module.split(".")[0] == "weaklesion":
                names += _imported_from(module, [alias.name for alias in node.names])
    inside = tuple(name.removeprefix("weaklesion.") for name in names)
    for name in inside:
        if _file_of(name) is None:
            raise ValueError(f"{path}: imports weaklesion.{name}, which does not exist")
    return inside


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements inside a node; expressions, nine in ten nodes, have none."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, name, ()):
            yield inner
            yield from _statements(inner)


def _imported_from(module: str, names: list[str]) -> list[str]:
    """Return the modules that `from module import names` reads.

    A name that is not a module itself is one that `module` defines or imports, so `module` counts.
    """
    modules = [f"{module}.{name}" for name in names]
    inner = [name for name in modules if _file_of(name.removeprefix("weaklesion.")) is not None]
    if len(inner) == len(modules):
        return inner
    return [*inner, "weaklesion.__init__" if module == "weaklesion" else module]

"""Which modules of the package a stage uses, so that changing one re-runs what depends on it.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

import ast
import os
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# Their changes cannot move a result: messages, progress, bookkeeping; and the list of networks, to
# which a new one is added. What it says of a network stays as it is (tests/library/test_models.py).
UNTRACKED = frozenset(
    {
        "__init__",
        "errors",
        "networks.names",
        "support.files",
        "support.progress",
        "support.provenance",
    }
)


def module_files(*modules: str) -> list[str]:
    """Return the files of some modules and of all modules of the package that they import.

    A package counts by its `__init__.py` where its own name is imported (`from weaklesion.metrics
    import dice`), not where only a module inside it is.

    Args:
        modules: names inside the package, such as `data.patches` or `data.loaders.ham10k`.

    Returns:
        Paths, sorted; relative to the working directory where `path_from_here` says so.

    Raises:
        ValueError: if there is no such module, or one of them imports what is not there.
    """
    return list(_module_files(modules, PACKAGE, Path.cwd()))


@cache
def _module_files(modules: tuple[str, ...], package: Path, here: Path) -> tuple[str, ...]:
    """Do the same once per working directory, because many rules name the same modules."""
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
    return tuple(sorted(path_from_here(path, package.parents[1]) for path in found.values()))


def path_from_here(path: str | Path, root: str | Path) -> str:
    """Return the path of a file of the workflow's folder as an input of a rule.

    It is relative where the working directory is the workflow's folder, lies inside it, beside it
    or directly around it: both can then be moved together, and no job runs again. Else it is
    absolute, so that the working directory alone can be moved.

    Args:
        path: a file under `root`.
        root: the workflow's folder.
    """
    here, root = Path.cwd().resolve(), Path(root).resolve()
    path = root / Path(path).resolve().relative_to(root)
    together = root in (here, *here.parents) or root.parent in (here, here.parent)
    return os.path.relpath(path, here) if together else str(path)


def _file_of(name: str) -> Path | None:
    """Return the file of a module or package, by its name inside weaklesion; None if none is."""
    stem = PACKAGE.joinpath(*name.split("."))
    candidates = (stem / "__init__.py", stem.with_suffix(".py"))  # in Python's own order
    return next((path for path in candidates if path.is_file()), None)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the names inside the package of the modules that a file imports anywhere.

    Raises:
        ValueError: if it imports a module of the package that does not exist.
    """
    folder = ".".join(("weaklesion", *path.parent.relative_to(PACKAGE).parts))
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def _imported_from(module: str, names: list[str]) -> list[str]:
    """Return the modules that `from module import names` reads.

    A name that is no module of its own is one that `module` defines or imports: then that counts.
    """
    modules = [f"{module}.{name}" for name in names]
    inner = [name for name in modules if _file_of(name.removeprefix("weaklesion.")) is not None]
    if len(inner) == len(modules):
        return inner
    return [*inner, "weaklesion.__init__" if module == "weaklesion" else module]

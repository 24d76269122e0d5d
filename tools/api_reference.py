"""The generated part of docs/reference/api.md: every public name, by topic.

Signatures and docstrings are read from the source, so nothing of the library is imported but its
list of names.
"""

import ast
import re
from pathlib import Path

import weaklesion

PACKAGE = Path(weaklesion.__file__).parent
# Public names of `weaklesion` in the order of the page; `metrics` stands for all its functions.
TOPICS = {
    "Marks and ellipses": (
        "parse_recist",
        "ellipse_from_recist",
        "recist_from_ellipse",
        "recist_from_mask",
        "quadrant_shape",
        "quadrant_outline",
        "measure_recist",
        "Measurement",
        "Ellipse",
        "FourEnds",
        "fit_ellipse",
        "draw_ellipse",
        "ellipse_iou",
    ),
    "Supervision": ("grabcut_mask", "pseudo_mask", "RefinedSettings"),
    "Clusters and splits": (
        "ellipse_features",
        "fit_clusters",
        "ham10k_released_split",
        "grouped_split",
    ),
    "Metrics": ("metrics", "MaskPair"),
    "Networks": ("build_model", "num_parameters", "load_network"),
    "Segmenting": (
        "segment_marks",
        "SegmentSettings",
        "segment_export",
        "ImportSettings",
        "read_marks",
        "Mark",
    ),
    "Files": ("fetch", "extract", "DataError"),
}
SECTIONS = re.compile(r"^(Args|Attributes|Raises|Returns|Source|Yields):|^>>> ", re.MULTILINE)
LONG = 88  # characters of a signature that stays on one line


def describe_api() -> str:
    """Return all topics as Markdown."""
    return "".join(
        f"## {topic}\n\n" + "".join(map(describe_name, names)) for topic, names in TOPICS.items()
    )


def describe_name(name: str) -> str:
    """Return a public name's signature, home and the prose of its docstring, as Markdown."""
    if name == "metrics":
        path = PACKAGE / "metrics/__init__.py"
        functions = [node for node in _definitions(path) if not node.name.startswith("_")]
        return f"{_prose(ast.parse(path.read_text()))}\n\n" + "".join(
            _entry(f"metrics.{node.name}", node, "weaklesion.metrics") for node in functions
        )
    home = weaklesion.HOME[name]
    (node,) = [
        node
        for node in _definitions(PACKAGE.joinpath(*home.split(".")).with_suffix(".py"))
        if node.name == name
    ]
    return _entry(name, node, f"weaklesion.{home}")


def _definitions(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    body = ast.parse(path.read_text()).body
    return [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _entry(title: str, node: ast.FunctionDef | ast.ClassDef, home: str) -> str:
    text = f"### `{title}`\n\n```python\n# {home}\n{_signature(node)}\n```\n\n{_prose(node)}\n\n"
    return text + (_methods(node) if isinstance(node, ast.ClassDef) else "")


def _methods(node: ast.ClassDef) -> str:
    """Return the public methods and properties of a class, with their first lines."""
    lines = [
        f"- `{inner.name}`: {(ast.get_docstring(inner) or '').splitlines()[0]}\n"
        for inner in node.body
        if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
    ]
    return "".join([*lines, "\n"] if lines else [])


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a call of a function or class: on one line, or with one parameter per line."""
    if isinstance(node, ast.FunctionDef):
        assert node.returns is not None, f"{node.name} does not say what it returns"
        parameters, returned = _parameters(node.args), f" -> {ast.unparse(node.returns)}"
    else:
        parameters, returned = _fields(node), ""
    line = f"{node.name}({', '.join(parameters)}){returned}"
    if len(line) <= LONG or not parameters:
        return line
    return f"{node.name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){returned}"


def _parameters(arguments: ast.arguments) -> list[str]:
    """Return the parameters of a function as in its source, without `self`."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    shown = [
        _parameter(each, default)
        for each, default in zip(positional, defaults, strict=True)
        if each.arg != "self"
    ]
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    named = [_parameter(each, default) for each, default in by_name]
    return [*shown, *(["*", *named] if named else [])]


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    return f"{ast.unparse(argument)}" + ("" if default is None else f" = {ast.unparse(default)}")


def _fields(node: ast.ClassDef) -> list[str]:
    """Return the parameters of a class: those of `__init__`, or the fields of a dataclass."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return _parameters(inner.args)
    fields = [
        ast.unparse(inner)
        for inner in node.body
        if isinstance(inner, ast.AnnAssign) and "ClassVar" not in ast.unparse(inner.annotation)
    ]
    by_name = any("kw_only=True" in ast.unparse(each) for each in node.decorator_list)
    return [*(["*"] if by_name else []), *fields]


def _prose(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> str:
    """Return a docstring up to its first section or example."""
    text = ast.get_docstring(node) or ""
    return SECTIONS.split(text)[0].strip()

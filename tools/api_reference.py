"""The generated part of docs/reference/api.md: every public name, by topic.

Signatures and docstrings are read from the source, so nothing of the library is imported but its
list of names.
"""

import ast
import re
import textwrap
from collections.abc import Iterable
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
HEADINGS = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Raises": "Raises",
    "Returns": "Returns",
    "Yields": "Yields",
}
HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):\n", re.MULTILINE)
EXAMPLE = re.compile(r"^>>> .*?(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
LIMITS = {
    "above": "above",
    "at_least": "at least",
    "at_most": "at most",
    "Rising": "the lower first",
}
LONG = 88  # characters of a signature that stays on one line


def describe_api() -> str:
    """Return all topics as Markdown."""
    return "".join(
        f"## {topic}\n\n" + "".join(map(describe_name, names)) for topic, names in TOPICS.items()
    )


def describe_name(name: str) -> str:
    """Return a public name's signature, home and docstring without its examples, as Markdown."""
    if name == "metrics":
        path = PACKAGE / "metrics/__init__.py"
        functions = [node for node in _definitions(path) if not node.name.startswith("_")]
        return _described(ast.parse(path.read_text())) + "".join(
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
    text = f"### `{title}`\n\n```python\n# {home}\n{_signature(node)}\n```\n\n{_described(node)}"
    return text + (_methods(node) if isinstance(node, ast.ClassDef) else "")


def _methods(node: ast.ClassDef) -> str:
    """Return the public methods and properties of a class, each with its docstring, as a list."""
    lines = []
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
            (_, prose), *sections = _parts(inner)
            said = [_listed([(_call_of_method(node, inner), prose.replace("\n\n", "\n"))])]
            for heading, text in sections:
                if heading == "Args":
                    said.append(textwrap.indent(_listed(_items(text)), "  "))
                else:
                    said.append(textwrap.indent(f"- {_inline(heading, text)}\n", "    ")[2:])
            lines += said
    return "".join(["**Methods and properties:**\n\n", *lines, "\n"] if lines else [])


def _call_of_method(node: ast.ClassDef, method: ast.FunctionDef) -> str:
    """Return the name of a property, or the call of a method, on one line."""
    decorators = {ast.unparse(each) for each in method.decorator_list}
    if decorators & {"property", "cached_property"}:
        return method.name
    assert method.returns is not None, f"{method.name} does not say what it returns"
    owner = f"{node.name}." if decorators & {"classmethod", "staticmethod"} else ""
    call = f"{method.name}({', '.join(_parameters(method.args))})"
    return owner + f"{call} -> {ast.unparse(method.returns)}".replace(f"'{node.name}'", node.name)


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
    """Return the parameters of a function as in its source, without `self` or `cls`."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    shown = [
        _parameter(each, default)
        for each, default in zip(positional, defaults, strict=True)
        if each.arg not in ("self", "cls")
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
        f"{ast.unparse(inner.target)}: {ast.unparse(_type_of(inner))}"
        + ("" if inner.value is None else f" = {ast.unparse(inner.value)}")
        for inner in _annotated(node)
    ]
    by_name = any("kw_only=True" in ast.unparse(each) for each in node.decorator_list)
    return [*(["*"] if by_name else []), *fields]


def _annotated(node: ast.ClassDef) -> list[ast.AnnAssign]:
    """Return the fields of a dataclass."""
    return [
        inner
        for inner in node.body
        if isinstance(inner, ast.AnnAssign) and "ClassVar" not in ast.unparse(inner.annotation)
    ]


def _metadata(field: ast.AnnAssign) -> list[ast.expr]:
    """Return the arguments of a field's `Annotated[...]`: its type first; none without it."""
    hint = field.annotation
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Annotated":
        assert isinstance(hint.slice, ast.Tuple)
        return hint.slice.elts
    return []


def _type_of(field: ast.AnnAssign) -> ast.expr:
    return [*_metadata(field), field.annotation][0]


def _sentence(field: ast.AnnAssign) -> str:
    """Return what a field's `Annotated[...]` says of it, in the form of a section; else ""."""
    said, limits = "", []
    for each in _metadata(field)[1:]:
        if isinstance(each, ast.Constant):
            said = str(each.value)
        elif isinstance(each, ast.Call) and ast.unparse(each.func) in LIMITS:
            limits.append(" ".join([LIMITS[ast.unparse(each.func)], *map(ast.unparse, each.args)]))
    limit = f" Limits: {', '.join(limits)}." if limits else ""
    return f"{ast.unparse(field.target)}: {said}{limit}\n" if said else ""


def _described(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> str:
    """Return a docstring as Markdown: its prose, and a list or a paragraph per section."""
    parts = _parts(node)
    if isinstance(node, ast.ClassDef) and (said := "".join(map(_sentence, _annotated(node)))):
        parts.insert(1, ("Attributes", said))
    return "".join(_section(heading, text) for heading, text in parts)


def _parts(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> list[tuple[str, str]]:
    """Return the parts of a docstring without its examples: heading, or "" for prose, and text."""
    text = EXAMPLE.sub("", ast.get_docstring(node) or "")
    prose, *others = HEADING.split(text)
    parts = [("", prose.strip())]
    for heading, rest in zip(others[::2], others[1::2], strict=True):
        body, *after = re.split(r"^(?=\S)", rest, maxsplit=1, flags=re.MULTILINE)
        parts.append((heading, textwrap.dedent(body).strip()))
        parts += [("", each.strip()) for each in after]
    return parts


def _section(heading: str, text: str) -> str:
    """Return a part of a docstring as Markdown."""
    if not heading:
        return f"{text}\n\n"
    if heading in ("Args", "Attributes") or (heading == "Raises" and len(_items(text)) > 1):
        return f"**{HEADINGS[heading]}:**\n\n{_listed(_items(text))}\n"
    return f"{_inline(heading, text)}\n\n"


def _inline(heading: str, text: str) -> str:
    """Return a section as a paragraph: errors, or a text without items."""
    if heading == "Raises":
        text = "; ".join(f"`{name}`: {said}" for name, said in _items(text))
    return f"**{HEADINGS[heading]}:** {text}"


def _listed(items: Iterable[tuple[str, str]]) -> str:
    """Return names and texts as a list."""
    return "".join(f"- `{name}`: " + said.replace("\n", "\n  ") + "\n" for name, said in items)


def _items(text: str) -> list[tuple[str, str]]:
    """Return name and text of each item of a section such as `Args`."""
    items = []
    for item in re.split(r"\n(?=\S)", text.strip()):
        name, colon, said = item.partition(": ")
        assert colon, f"not `name: text`: {item}"
        first, *others = said.splitlines()
        items.append((name, "\n".join([first, *map(str.strip, others)])))
    return items

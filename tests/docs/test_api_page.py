"""docs/reference/api.md: every public name, and examples that run as they stand."""

import ast
import doctest
import inspect
import re

import api_reference
import pandas as pd
import update_docs

import weaklesion as wl
from weaklesion import cli
from weaklesion.support.yaml_files import read_yaml


def test_the_page_says_what_the_docstrings_say(root):
    page, text = update_docs.api_page(root / "docs")
    assert page.read_text() == text, f"{page}: call python tools/update_docs.py"


def test_the_page_has_every_public_name_once():
    names = [name for topic in api_reference.TOPICS.values() for name in topic]
    assert sorted([*names, "__version__"]) == sorted(wl.__all__)


def test_type_checkers_see_the_names_that_are_imported_lazily():
    body = ast.parse(inspect.getsource(wl)).body
    (block,) = [node for node in body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module.removeprefix("weaklesion").removeprefix(".")
        for node in block.body
        for alias in node.names
    }
    assert seen == wl.HOME | dict.fromkeys(wl.MODULES, "")


FUNCTION = '''
def f(a: int, *, b: str = "x") -> int:
    """Do.

    More of it.

    Args:
        a: (H, W) px: of
            two lines.
        b: B.

    Returns:
        A number
        of px.

    Raises:
        ValueError: if a
            is wrong.
        OSError: never.

    Source: a book.

    >>> f(1)
    2
    """
'''
CLASS = '''
class C:
    """A thing.

    Raises:
        ValueError: if it
            is wrong.
    """

    a: Annotated[tuple[float, float], above(0), Rising(), "Widths, px."] = (1, 2)
    b: int

    @property
    def size(self) -> int:
        """The size, px."""

    @classmethod
    def made(cls, x: int) -> "C":
        """Make one.

        In haste.

        Args:
            x: how
                large.

        Returns:
            One of
            them.
        """
'''


def entry(source):
    (node,) = ast.parse(source).body
    return api_reference._entry(node.name, node, "weaklesion.x")


def test_the_page_has_each_section_of_a_docstring():
    """Without its examples."""
    assert entry(FUNCTION) == (
        "### `f`\n\n```python\n# weaklesion.x\nf(a: int, *, b: str = 'x') -> int\n```\n\n"
        "Do.\n\nMore of it.\n\n"
        "**Arguments:**\n\n- `a`: (H, W) px: of\n  two lines.\n- `b`: B.\n\n"
        "**Returns:** A number\nof px.\n\n"
        "**Raises:**\n\n- `ValueError`: if a\n  is wrong.\n- `OSError`: never.\n\n"
        "Source: a book.\n\n"
    )


def test_the_page_has_fields_and_methods_of_a_class():
    assert entry(CLASS) == (
        "### `C`\n\n```python\n# weaklesion.x\n"
        "C(a: tuple[float, float] = (1, 2), b: int)\n```\n\n"
        "A thing.\n\n"
        "**Attributes:**\n\n- `a`: Widths, px. Limits: above 0, the lower first.\n\n"
        "**Raises:** `ValueError`: if it\nis wrong.\n\n"
        "**Methods and properties:**\n\n- `size`: The size, px.\n"
        "- `C.made(x: int) -> C`: Make one.\n  In haste.\n"
        "  - `x`: how\n    large.\n  - **Returns:** One of\n    them.\n\n"
    )


def test_every_argument_and_error_that_a_docstring_has_is_on_the_page(root):
    page = (root / "docs/reference/api.md").read_text()
    entries = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE))
    assert entries.keys() == wl.HOME.keys()
    for name, entry in entries.items():
        said = api_reference.EXAMPLE.sub("", inspect.getdoc(getattr(wl, name)))
        for item in re.findall(r"^    (\w+): ", said, re.MULTILINE):
            assert f"`{item}`: " in entry, (name, item)


def test_the_examples_run_as_they_stand(root, tmp_path, model, images, monkeypatch):
    """With the network, images and marks of the tests of `segment`."""
    pd.DataFrame(images[1]).to_csv(tmp_path / "marks.csv", index=False)
    assert model == tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    text = (root / "docs/reference/api.md").read_text().split("<!-- begin api -->")[0]
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    example = doctest.DocTestParser().get_doctest(blocks, {}, "api.md", None, None)
    assert len(example.examples) > 20
    said = []
    failed, _ = doctest.DocTestRunner().run(example, out=said.append)
    assert not failed, "".join(said)


def test_defaults_are_those_of_the_command_and_of_the_configuration(root):
    options = inspect.signature(cli.segment).parameters
    for name, option in (("gate", "gate"), ("consistent", "consistent"), ("window_hu", "window")):
        assert getattr(wl.SegmentSettings(), name) == options[option].default
    config = read_yaml(root / "config.yaml")
    constants = config["protocols"]["corrected"]["supervision"]["refined"]
    assert wl.RefinedSettings(**constants) == wl.RefinedSettings()

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


def test_a_docstring_ends_on_the_page_at_its_first_section():
    (node,) = ast.parse(
        'def f(a: int, *, b: str = "x") -> int:\n  """Do.\n\n  Args:\n   a: A."""'
    ).body
    assert api_reference._entry("f", node, "weaklesion.x") == (
        "### `f`\n\n```python\n# weaklesion.x\nf(a: int, *, b: str = 'x') -> int\n```\n\nDo.\n\n"
    )


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

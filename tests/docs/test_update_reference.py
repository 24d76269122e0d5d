"""The schema repeats the settings classes, and the reference page repeats the schema."""

import json
import re

import pytest
import settings_schema
import update_reference

from weaklesion.support.yaml_files import read_yaml


def test_the_schema_and_the_reference_page_are_up_to_date(root):
    for path, text in update_reference.generate(root).items():
        assert path.read_text() == text, f"{path}: call python tools/update_reference.py"


def test_every_key_of_the_configuration_is_on_the_page(root):
    config = read_yaml(root / "config.yaml")
    page = (root / update_reference.PAGE).read_text()
    parts = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(parts) == set(config)
    for key, value in config["training"].items():
        (row,) = (line for line in parts["training"].splitlines() if f"| `{key}` |" in line)
        assert f"| `{json.dumps(value)}` |" in row or key == "prompt"


def test_a_value_or_a_sentence_that_was_changed_by_hand_is_noticed(root, tmp_path):
    for name in (update_reference.SCHEMA, update_reference.PAGE, "config.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((root / name).read_text())
    schema, page = tmp_path / update_reference.SCHEMA, tmp_path / update_reference.PAGE
    before = schema.read_text()
    schema.write_text(before.replace("minimum: 100\n", "minimum: 1\n"))
    assert update_reference.generate(tmp_path)[schema] == before != schema.read_text()
    schema.write_text(before)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("  epochs: 50\n", "  epochs: 60\n"))
    changed = update_reference.generate(tmp_path)[page]
    assert "| `epochs` | integer, at least 1 | `60` |" in changed != page.read_text()


def test_a_key_without_a_description_is_refused(root):
    schema = read_yaml(root / update_reference.SCHEMA)
    config = read_yaml(root / "config.yaml")
    del schema["properties"]["figures"]["properties"]["ranked_by"]["description"]
    with pytest.raises(ValueError, match=r"figures\.ranked_by has no description"):
        update_reference.reference(schema, config)


def test_a_schema_without_the_mark_is_refused():
    with pytest.raises(ValueError, match="has no line"):
        settings_schema.schema_with_settings("type: object\n")

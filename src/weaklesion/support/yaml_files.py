"""YAML files, read by libyaml where PyYAML was built with it: ten times as fast."""

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: str | Path) -> Any:
    """Return the content of a YAML file, made of plain types only.

    Raises:
        OSError: if the file cannot be read.
        UnicodeDecodeError: if it is not UTF-8.
        yaml.YAMLError: if it is not YAML.
    """
    return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=LOADER)


def key_given_twice(root: yaml.Node) -> tuple[str, int, int] | None:
    """Return the first key that a mapping has twice, with its line and that of the first; or None.

    Args:
        root: what `yaml.compose` returns. Loading would keep the last of equal keys.

    >>> key_given_twice(yaml.compose("{a: {b: 1, b: 2}, b: 3}"))
    ('b', 1, 1)
    """
    seen: set[int] = set()
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            nodes.append(value)
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines and key.value != "<<":
                return key.value, line, lines[key.value]
            lines[key.value] = line
    return None

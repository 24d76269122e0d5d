"""docs/reference/audit.md and config.yaml name the same discrepancies."""

import re

from weaklesion.support.yaml_files import read_yaml

ID = r"[MGSTKPBCW]\d+"


def test_every_discrepancy_of_the_configuration_is_explained(root):
    text = (root / "config.yaml").read_text()
    named = set(re.findall(rf"\b{ID}\b", " ".join(re.findall(r"#.*", text))))
    config = read_yaml(root / "config.yaml")
    for switch in config["attribution"]["switches"]:
        named |= set(switch.split("+"))
    audit = (root / "docs/reference/audit.md").read_text()
    explained = set(re.findall(rf"\b{ID}\b", audit)) | {"frame"}
    assert named <= explained
    assert len(named) > 30


def test_every_explained_switch_is_in_the_configuration(root):
    audit = (root / "docs/reference/audit.md").read_text()
    table = audit[audit.index("## With a switch") : audit.index("## Without a switch")]
    config = read_yaml(root / "config.yaml")
    settings = {
        "scoring": config["protocols"]["corrected"]["scoring"],
        **config["protocols"]["corrected"],
    }
    settings["training"] = config["training"]
    settings["datasets"] = config["datasets"]
    paths = set(
        re.findall(r"`((?:patches|supervision|clusters|training|scoring)\.[a-z_0-9.A-Z]+)", table)
    )
    assert len(paths) > 25
    for path in paths:
        value = settings
        for key in path.rstrip(".").split("."):
            assert key in value, path
            value = value[key]


def test_no_discrepancy_is_forgotten(root):
    audit = (root / "docs/reference/audit.md").read_text()
    known = (
        [f"M{n}" for n in range(1, 10)]
        + [f"G{n}" for n in range(1, 24)]
        + [f"S{n}" for n in range(1, 6)]
        + [f"T{n}" for n in range(1, 15)]
        + [f"P{n}" for n in range(1, 18)]
        + [f"B{n}" for n in range(1, 15)]
        + [f"C{n}" for n in range(1, 12)]
        + ["W1", "W2", "W3"]
    )
    assert [name for name in known if not re.search(rf"\b{name}\b", audit)] == []

"""docs/reference/outputs.md has the columns that the code writes."""

from documented_columns import PAGE, documented

from weaklesion.flips import FLIPS
from weaklesion.report.tables.scores import TABLE1_COLUMNS
from weaklesion.report.tables.verdicts import COLUMNS
from weaklesion.scoring.catalogue import MEASURES
from weaklesion.segment.outputs import MEASURED
from weaklesion.support.yaml_files import read_yaml


def test_columns_that_the_code_lists():
    sections = documented(PAGE.read_text())
    assert list(sections["`tables/<item>.csv`, kind `scores`"].in_order) == TABLE1_COLUMNS
    assert list(sections["`tables/verdicts.csv`"].in_order) == COLUMNS
    assert sections["`measurements.csv`"].always == set(MEASURED)
    assert sections["`clusters/k<K>.csv`"].always == {"id", *FLIPS}


def test_every_kind_of_item_has_a_section(root):
    schema = read_yaml(root / "workflow/schemas/config.schema.yaml")
    item = schema["properties"]["experiments"]["additionalProperties"]["properties"]
    sections = documented(PAGE.read_text())
    kinds = item["kind"]["enum"]
    assert {f"`tables/<item>.csv`, kind `{kind}`" for kind in kinds} <= set(sections)


def test_every_metric_is_defined(root):
    page = (root / "docs/reference/metrics.md").read_text()
    named = page.replace("`..._border_mean`", "`average_hausdorff_border_mean`")
    assert [name for name in MEASURES if f"`{name}`" not in named] == []
    named = named.replace("; the same, mean |", ", Average border distance, mean |")
    heads = [row.split(" | ")[1] for row in named.splitlines() if row.startswith("| `")]
    known = ", ".join(heads[: len(MEASURES)])
    assert [one.label for one in MEASURES.values() if one.label not in known] == []

"""Labels by which Snakemake's report lists files, of which some would leave it blank."""

import json
import subprocess

from conftest import ROOT
from preloaded_python import preloaded_python

LABELS = """
import json
from pathlib import Path
from types import SimpleNamespace
from snakemake.api import ConfigSettings, ResourceSettings, SnakemakeApi

job = SimpleNamespace(dataset="phantom_ham10k", protocol="demo", arm="a1", item="table1")
study = ConfigSettings(configfiles=[Path("workflow/studies/demo.yaml")])
found = []
with SnakemakeApi() as api:
    loaded = api.workflow(
        ResourceSettings(cores=1), config_settings=study, snakefile=Path("Snakefile")
    )
    for rule in loaded._workflow.rules:
        for file in rule.output:
            if shown := file.flags.get("report"):
                labels = shown.labels(job) if callable(shown.labels) else shown.labels
                found.append([rule.name, shown.category, str(file), labels])
print("found", json.dumps(found))
"""


def test_a_second_label_is_the_format_of_a_table_and_its_page():
    """Two values of a second label make a switch, and an unpaired file a blank report."""
    done = subprocess.run(
        [preloaded_python(), "-c", LABELS], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.split("found ")[1])
    assert {category for _, category, _, _ in found} == {
        "Data", "Overview", "Papers", "Predictions", "Supervision", "Tables", "Training",
    }  # fmt: skip
    for _, _, file, labels in found:
        assert list(labels) in (["item"], ["item", "format"]), file
        if "{dataset}" in file:
            assert labels["item"].endswith(": HAM10000 phantom, demo"), file
    of = {
        kind: {(category, labels["item"]) for _, category, _, labels in found
               if labels.get("format") == kind}
        for kind in ("CSV", "page")
    }  # fmt: skip
    assert len(of["CSV"]) >= 4
    assert of["CSV"] <= of["page"]

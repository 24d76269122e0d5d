# WeakLesion: Chu et al., MIDL 2021, from public data to every table and figure.
# `snakemake --cores N` is the full reproduction; `--configfile workflow/studies/X.yaml` a study.
import sys
from pathlib import Path

from snakemake.utils import min_version, update_config

min_version("9.27")
sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from weaklesion.study.next_step import next_step
from weaklesion.study.overrides import parse_overrides
from weaklesion.study.schema import check_keys, check_schema


configfile: Path(workflow.basedir) / "config.yaml"


check_keys(workflow.configfiles)
update_config(config, parse_overrides(workflow.config_settings.config_args))
check_schema(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")


report: "workflow/report/overview.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/shown.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/patches.smk"
include: "workflow/rules/supervision.smk"
include: "workflow/rules/clusters.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [study.files_of(item) for item in study.items()],
        [
            rules.definitions.input,
            rules.overview.input,
            rules.figures.input,
        ]
        if study.has_main_item
        else [rules.tabulate_samples.output if study.shown_blocks else []],
        rules.verdicts.input if study.claimed_runs else [],


onsuccess:
    if text := next_step(study):
        print(text, file=sys.stderr)

# WeakLesion: Chu et al., MIDL 2021, from public data to every table and figure.
# `snakemake --cores N` is the full reproduction; `--configfile workflow/studies/X.yaml` a study.
import sys
from pathlib import Path

from snakemake.utils import min_version, update_config

min_version("9.27")
IS_MODULE = workflow.modifier.parent_modifier is not None
# Another workflow that has rules before it loads this one as a module keeps its own target.
NO_TARGET_YET = workflow.default_target is None
# The folder of this file, also where another workflow loads it as a module.
CLONE = Path(str(workflow.current_basedir)).resolve()
sys.path.insert(0, str(CLONE / "src"))

from weaklesion.study.key_order import in_fixed_order
from weaklesion.study.next_step import next_step
from weaklesion.study.overrides import overrides_of, parse_overrides
from weaklesion.study.protocols import merge
from weaklesion.study.reasons import say_what_changed
from weaklesion.study.schema import check_keys, check_schema
from weaklesion.support.cluster import check_at_start
from weaklesion.support.systems import refuse_windows
from weaklesion.support.yaml_files import read_yaml

refuse_windows()
if not IS_MODULE:  # the reasons of another workflow's jobs are its own
    say_what_changed()


configfile: CLONE / "config.yaml"


check_keys(workflow.configfiles)
OVERRIDES = parse_overrides(workflow.config_settings.config_args)
if IS_MODULE:
    OVERRIDES = overrides_of(config, OVERRIDES, workflow.config_settings.config)
# A module has the settings of the workflow that loads it, and nothing of the file above.
PAPER = read_yaml(CLONE / "config.yaml")
SCHEMA = CLONE / "workflow/schemas/config.schema.yaml"
config = merge(PAPER, config)
update_config(config, OVERRIDES)
OWN_KEYS = """If these keys are your own workflow's, give the module a part of its configuration:
`config: config["weaklesion"]`."""
check_schema(config, SCHEMA, OWN_KEYS if IS_MODULE else "")
config = in_fixed_order(config, PAPER, read_yaml(SCHEMA))


report: "workflow/report/study.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/shown.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/patches.smk"
include: "workflow/rules/supervision.smk"
include: "workflow/rules/clusters.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/nnunet.smk"
include: "workflow/rules/folds.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/volumes.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/papers.smk"


rule all:
    default_target: NO_TARGET_YET
    input:
        TABLES_AND_FIGURES,
        study.paper_files,


onstart:
    check_at_start(
        workflow.executor_settings,
        workflow.resource_settings,
        workflow.global_resources,
    )


onsuccess:
    if text := next_step(study):
        print(text, file=sys.stderr)

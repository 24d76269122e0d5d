"""Score the runs of Table 1 as the paper, its code and textbooks define its metrics."""

from job import run

from weaklesion.report.tables.definitions import tabulate_definitions

run(snakemake, tabulate_definitions)

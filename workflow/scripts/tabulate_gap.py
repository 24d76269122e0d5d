"""Say what arms lack against others, and on which images."""

from job import run

from weaklesion.report.tables.gap import tabulate_gap

run(snakemake, tabulate_gap)

"""Say what training takes, beside the published hours."""

from job import run

from weaklesion.report.tables.cost import tabulate_cost

run(snakemake, tabulate_cost)

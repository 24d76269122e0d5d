"""Say how many parameters each network has, beside the published numbers."""

from job import run

from weaklesion.report.tables.parameters import tabulate_parameters

run(snakemake, tabulate_parameters)

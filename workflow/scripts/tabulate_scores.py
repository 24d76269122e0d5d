"""Make a table of arms, beside the published numbers."""

from job import run

from weaklesion.report.tables.scores import tabulate_scores

run(snakemake, tabulate_scores)

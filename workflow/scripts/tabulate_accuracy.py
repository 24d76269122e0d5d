"""Say how well the second task is learned, beside the published numbers."""

from job import run

from weaklesion.report.tables.accuracy import tabulate_accuracy

run(snakemake, tabulate_accuracy)

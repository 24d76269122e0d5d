"""Put several papers' answers side by side."""

from job import run

from weaklesion.report.tables.answers import tabulate_answers

run(snakemake, tabulate_answers)

"""Say what became of each dataset's samples under each protocol."""

from job import run

from weaklesion.report.tables.samples import tabulate_samples

run(snakemake, tabulate_samples)

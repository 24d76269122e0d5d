"""Say how well each supervision agrees with the dense references."""

from job import run

from weaklesion.report.tables.agreement import tabulate_agreement

run(snakemake, tabulate_agreement)

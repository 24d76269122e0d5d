"""Say how far a table depends on what empty masks count as."""

from job import run

from weaklesion.report.tables.policies import tabulate_policies

run(snakemake, tabulate_policies)

"""Judge the paper's claims."""

from job import run

from weaklesion.report.tables.verdicts import tabulate_verdicts

run(snakemake, tabulate_verdicts)

"""Say what each defect does alone."""

from job import run

from weaklesion.report.tables.attribution import tabulate_attribution

run(snakemake, tabulate_attribution)

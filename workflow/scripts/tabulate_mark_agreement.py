"""Compare the masks of test images with the marks of their lesions."""

from job import run

from weaklesion.report.tables.mark_agreement import tabulate_mark_agreement

run(snakemake, tabulate_mark_agreement)

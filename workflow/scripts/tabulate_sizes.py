"""Compare diameters and areas of masks with those of the dense references."""

from job import run

from weaklesion.report.tables.sizes import tabulate_sizes

run(snakemake, tabulate_sizes)

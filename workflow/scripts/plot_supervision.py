"""Draw samples with their mark, each target and the reference."""

from job import run

from weaklesion.report.figures.supervision import plot_supervision

run(snakemake, plot_supervision)

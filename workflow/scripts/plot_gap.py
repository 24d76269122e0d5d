"""Plot what arms lack against others."""

from job import run

from weaklesion.report.figures.gap import plot_gap

run(snakemake, plot_gap)

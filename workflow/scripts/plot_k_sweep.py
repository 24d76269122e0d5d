"""Plot the quality of the clusters against K."""

from job import run

from weaklesion.report.figures.supervision import plot_k_sweep

run(snakemake, plot_k_sweep)

"""Draw the largest clusters with their ellipses."""

from job import run

from weaklesion.report.figures.supervision import plot_clusters

run(snakemake, plot_clusters)

"""Plot each test image's Dice under two arms."""

from job import run

from weaklesion.report.figures.scatter import plot_scatter

run(snakemake, plot_scatter)

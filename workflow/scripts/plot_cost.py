"""Plot Dice against the hours of training."""

from job import run

from weaklesion.report.figures.arms import plot_cost

run(snakemake, plot_cost)

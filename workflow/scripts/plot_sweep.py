"""Plot test and validation Dice against a setting that is swept."""

from job import run

from weaklesion.report.figures.sweep import plot_sweep

run(snakemake, plot_sweep)

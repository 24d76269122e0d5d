"""Plot losses and validation Dice of every arm and seed."""

from job import run

from weaklesion.report.figures.arms import plot_training_curves

run(snakemake, plot_training_curves)

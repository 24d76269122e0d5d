"""Plot the angles of the marks, and what each feature of the clusters weighs."""

from job import run

from weaklesion.report.figures.supervision import plot_angles

run(snakemake, plot_angles)

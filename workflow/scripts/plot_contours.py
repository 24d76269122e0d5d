"""Draw reference, ellipse and every arm's contour over test images."""

from job import run

from weaklesion.report.figures.arms import plot_contours

run(snakemake, plot_contours)

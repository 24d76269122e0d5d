"""Draw test images with the mark, its ellipse and the contour of each arm's mask."""

from job import run

from weaklesion.report.figures.mark_agreement import plot_mark_agreement

run(snakemake, plot_mark_agreement)

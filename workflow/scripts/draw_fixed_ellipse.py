"""Draw the training marks' mean ellipse in the centre of every sample."""

from job import run

from weaklesion.supervision.ellipses import draw_fixed_ellipse

run(snakemake, draw_fixed_ellipse)

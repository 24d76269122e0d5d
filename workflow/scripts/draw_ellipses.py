"""Draw the ellipse of each sample's RECIST mark."""

from job import run

from weaklesion.supervision.ellipses import draw_ellipses

run(snakemake, draw_ellipses)

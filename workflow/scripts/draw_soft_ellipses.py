"""Draw the ellipses with soft edges."""

from job import run

from weaklesion.supervision.ellipses import draw_soft_ellipses

run(snakemake, draw_soft_ellipses)

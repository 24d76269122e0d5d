"""Draw each ellipse with the area that pseudo-masks have, on average."""

from job import run

from weaklesion.supervision.perturbed import draw_shrunken

run(snakemake, draw_shrunken)

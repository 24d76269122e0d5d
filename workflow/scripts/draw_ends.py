"""Draw the shape through the four ends of each sample's mark."""

from job import run

from weaklesion.supervision.ends import draw_ends

run(snakemake, draw_ends)

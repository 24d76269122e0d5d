"""Segment each sample by GrabCut, starting from its ellipse."""

from job import run

from weaklesion.supervision.grabcut import draw_grabcut

run(snakemake, draw_grabcut)

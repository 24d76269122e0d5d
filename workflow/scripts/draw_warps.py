"""Draw what a network that sees the mark is trained on."""

from job import run

from weaklesion.report.figures.warps import draw_warps

run(snakemake, draw_warps)

"""Make each sample's pseudo-mask from its levels and its mark."""

from job import run

from weaklesion.supervision.pseudo_masks import draw_refined

run(snakemake, draw_refined)

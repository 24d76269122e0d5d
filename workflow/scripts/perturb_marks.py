"""Perturb each sample's ellipse, as a mark less exactly made."""

from job import run

from weaklesion.supervision.perturbed import perturb_marks

run(snakemake, perturb_marks)

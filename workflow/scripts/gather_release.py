"""Gather what is worth publishing of the study in one folder."""

from job import run

from weaklesion.report.papers.release import gather_release

run(snakemake, gather_release)

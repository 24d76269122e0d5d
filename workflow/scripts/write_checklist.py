"""Check four lists for authors against the study's files."""

from job import run

from weaklesion.report.papers.checklist import write_checklist

run(snakemake, write_checklist)

"""Say where the data come from, what is in them, and what is missing."""

from job import run

from weaklesion.report.papers.data_sheet import write_data_sheet

run(snakemake, write_data_sheet)

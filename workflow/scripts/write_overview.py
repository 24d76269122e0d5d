"""Say what was run, on what, with what, and what follows."""

from job import run

from weaklesion.report.tables.overview import write_overview

run(snakemake, write_overview)

"""Write the page that a reader opens first."""

from job import run

from weaklesion.report.tables.front_page import write_front_page

run(snakemake, write_front_page)

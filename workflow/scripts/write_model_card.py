"""Say what the networks were trained and tested on, and where they fail."""

from job import run

from weaklesion.report.papers.model_card import write_model_card

run(snakemake, write_model_card)

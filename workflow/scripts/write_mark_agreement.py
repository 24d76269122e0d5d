"""Say what can be known of masks without a dense one, and what cannot."""

from job import run

from weaklesion.report.tables.mark_agreement_page import write_mark_agreement

run(snakemake, write_mark_agreement)

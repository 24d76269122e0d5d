"""Compare the targets of a dataset with its dense reference."""

from job import run

from weaklesion.scoring.agreement import measure_agreement

run(snakemake, measure_agreement)

"""Measure what may make a test image hard."""

from job import run

from weaklesion.report.tables.gap import describe_samples

run(snakemake, describe_samples)

"""Fetch one file of a manifest and verify it."""

from job import logged

from weaklesion.download import fetch_named

with logged(snakemake.log[0]):
    fetch_named(snakemake.input.manifest, snakemake.wildcards.file, snakemake.output[0])

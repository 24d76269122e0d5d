"""Fetch one file of a manifest and verify it."""

from job import logged

from weaklesion.download import fetch, row_of

with logged(snakemake.log[0]):
    row = snakemake.params.row or row_of(snakemake.input.manifest, snakemake.wildcards.file)
    fetch(row, snakemake.output[0])

"""Unpack one archive."""

from job import logged

from weaklesion.download import extract

with logged(snakemake.log[0]):
    extract(snakemake.input[0], snakemake.output[0])

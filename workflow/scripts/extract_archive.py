"""Unpack one archive."""

from job import run

from weaklesion.download import extract

run(snakemake, extract)

"""Fetch one file of a manifest and verify it."""

from job import run

from weaklesion.data.raw_files import download_file

run(snakemake, download_file)

"""Fetch one archive of DeepLesion, keep the slices that its lesions need, and delete it."""

from job import run

from weaklesion.data.loaders.deeplesion_table import needed_members
from weaklesion.data.raw_files import fetch_slices

run(snakemake, fetch_slices, needed_members=needed_members)

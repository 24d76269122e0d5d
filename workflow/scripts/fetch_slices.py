"""Fetch one archive of DeepLesion, keep the slices that its lesions need, and delete it."""

from functools import partial
from pathlib import Path

from job import logged

from weaklesion.data.loaders.deeplesion_table import needed_members
from weaklesion.download import fetch_members, row_of

with logged(snakemake.log[0]):
    row = snakemake.params.row or row_of(snakemake.input.manifest, snakemake.wildcards.file)
    choose = partial(needed_members, table_csv=snakemake.input.table)
    folder = Path(snakemake.output[0])
    fetch_members(row, folder.parent / "fetching" / folder.name, folder, choose)

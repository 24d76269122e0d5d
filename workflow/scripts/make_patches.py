"""Make the patches of one dataset under one protocol."""

from importlib import import_module
from pathlib import Path

from job import logged

with logged(snakemake.log[0]):
    loader = import_module(f"weaklesion.data.loaders.{snakemake.params.loader}")
    loader.make_patches(
        folders=snakemake.input.folders,
        table_csv=snakemake.input.table or None,
        patches_dir=Path(snakemake.output.images).parent,
        settings=loader.Settings(**snakemake.params.settings),
        workers=snakemake.threads,
    )

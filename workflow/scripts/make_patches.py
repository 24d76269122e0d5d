"""Make the patches of one dataset under one protocol."""

from importlib import import_module
from pathlib import Path

from job import run

loader = import_module(f"weaklesion.data.loaders.{snakemake.params.loader}")
run(snakemake, loader.make_patches, patches_dir=Path(snakemake.output.images_npy).parent)

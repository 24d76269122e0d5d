"""Make a phantom in the native form of a dataset."""

from importlib import import_module
from pathlib import Path

from job import run

phantom = import_module(f"weaklesion.data.phantoms.{snakemake.params.loader}")
folder = Path(snakemake.output.manifest).parent
run(snakemake, phantom.make_phantom, folder=folder, **snakemake.params.settings)

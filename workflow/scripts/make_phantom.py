"""Make a phantom in the native form of a dataset."""

from importlib import import_module
from pathlib import Path

from job import logged

with logged(snakemake.log[0]):
    import_module(f"weaklesion.data.phantoms.{snakemake.params.loader}").make_phantom(
        folder=Path(snakemake.output.manifest).parent, **snakemake.params.settings
    )

"""Make a phantom of HAM10000 in its native form."""

from pathlib import Path

from job import logged

from weaklesion.phantoms.ham10k import make_phantom

with logged(snakemake.log[0]):
    make_phantom(
        folder=Path(snakemake.output.manifest).parent,
        num_images=snakemake.params.num_images,
        seed=snakemake.params.seed,
        width_px=snakemake.params.width_px,
        height_px=snakemake.params.height_px,
    )

"""Make the patches of one dataset under one protocol."""

from pathlib import Path

from job import logged

from weaklesion.patches import PatchSettings, make_patches

with logged(snakemake.log[0]):
    make_patches(
        source_dirs=snakemake.input.archives,
        metadata_csv=snakemake.input.metadata,
        patches_dir=Path(snakemake.output.images).parent,
        settings=PatchSettings(
            side_px=snakemake.params.side_px,
            image_resize=snakemake.params.image_resize,
            channel_order=snakemake.params.channel_order,
            split=snakemake.params.split,
            split_seed=snakemake.params.split_seed,
            limit=snakemake.params.limit,
            expected_order_sha256=snakemake.params.released_order_sha256,
        ),
        workers=snakemake.threads,
    )

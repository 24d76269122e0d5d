"""Make each sample's pseudo-mask from its levels and its mark."""

from job import logged

from weaklesion.refined import RefinedSettings, draw_refined

with logged(snakemake.log[0]):
    draw_refined(
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses,
        target_npy=snakemake.output.target,
        settings=RefinedSettings(**snakemake.params.settings),
        channel_order=snakemake.params.channel_order,
        workers=snakemake.threads,
    )

"""Draw the ellipse of each sample's RECIST mark."""

from job import logged

from weaklesion.supervision.ellipses import draw_ellipses

with logged(snakemake.log[0]):
    draw_ellipses(
        samples_csv=snakemake.input.samples,
        images_npy=snakemake.input.images,
        ellipses_csv=snakemake.output.ellipses,
        target_npy=snakemake.output.target,
        center=snakemake.params.center,
        outline_px=snakemake.params.outline_px,
    )

"""Draw the ellipses with soft edges."""

from job import logged

from weaklesion.supervision.ellipses import draw_soft_ellipses

with logged(snakemake.log[0]):
    draw_soft_ellipses(
        images_npy=snakemake.input.images,
        ellipses_csv=snakemake.input.ellipses,
        target_npy=snakemake.output.target,
    )

"""Draw the training marks' mean ellipse in the centre of every sample."""

from job import logged

from weaklesion.supervision.ellipses import draw_fixed_ellipse

with logged(snakemake.log[0]):
    draw_fixed_ellipse(
        samples_csv=snakemake.input.samples,
        images_npy=snakemake.input.images,
        ellipses_csv=snakemake.input.ellipses,
        target_npy=snakemake.output.target,
    )

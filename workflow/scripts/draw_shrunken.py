"""Draw each ellipse with the area that pseudo-masks have, on average."""

from job import logged

from weaklesion.supervision.perturbed import draw_shrunken

with logged(snakemake.log[0]):
    draw_shrunken(
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses,
        refined_npy=snakemake.input.refined,
        target_npy=snakemake.output.target,
    )

"""Perturb each sample's ellipse, as a mark less exactly made."""

from job import logged

from weaklesion.supervision.perturbed import perturb_marks

with logged(snakemake.log[0]):
    perturb_marks(
        images_npy=snakemake.input.images,
        ellipses_csv=snakemake.input.ellipses,
        mark_noise=snakemake.params.mark_noise,
        perturbed_csv=snakemake.output.ellipses,
        target_npy=snakemake.output.target,
    )

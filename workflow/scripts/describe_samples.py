"""Measure what may make a test image hard."""

from job import logged

from weaklesion.report.tables.gap import describe_samples

with logged(snakemake.log[0]):
    describe_samples(
        images_npy=snakemake.input.images,
        reference_npy=snakemake.input.reference,
        reference_ids_csv=snakemake.input.reference_ids,
        ellipse_npy=snakemake.input.ellipse,
        ellipse_ids_csv=snakemake.input.ellipse_ids,
        samples_csv=snakemake.input.samples,
        traits_csv=snakemake.output[0],
    )

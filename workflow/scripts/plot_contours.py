"""Draw reference, ellipse and every arm's contour over test images."""

from job import logged

from weaklesion.report.figures.arms import plot_contours

with logged(snakemake.log[0]):
    plot_contours(
        images_npy=snakemake.input.images,
        reference_npy=snakemake.input.reference,
        reference_ids_csv=snakemake.input.reference_ids,
        reference_name=snakemake.params.reference_name,
        samples_csv=snakemake.input.samples,
        channel_order=snakemake.params.channel_order,
        arms=snakemake.params.arms,
        ranked_by=snakemake.params.ranked_by,
        num_images=snakemake.params.num_images,
        all_arms=snakemake.params.all_arms,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=snakemake.output,
    )

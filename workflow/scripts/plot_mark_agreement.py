"""Draw test images with the mark, its ellipse and the contour of each arm's mask."""

from job import logged

from weaklesion.report.figures.mark_agreement import plot_mark_agreement

with logged(snakemake.log[0]):
    plot_mark_agreement(
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses,
        masks_csv=snakemake.input.masks,
        arms=snakemake.params.arms,
        all_arms=snakemake.params.all_arms,
        channel_order=snakemake.params.channel_order,
        ranked_by=snakemake.params.ranked_by,
        num_images=snakemake.params.num_images,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=[snakemake.output.png],
    )

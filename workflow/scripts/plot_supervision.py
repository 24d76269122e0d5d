"""Draw samples with their mark, each target and the reference."""

from job import logged

from weaklesion.report.figures.supervision import plot_supervision

with logged(snakemake.log[0]):
    plot_supervision(
        images_npy=snakemake.input.images,
        reference_npy=snakemake.input.reference or None,
        samples_csv=snakemake.input.samples,
        targets={
            "ellipse": snakemake.input.ellipse,
            "GrabCut, rect": snakemake.input.rect,
            "GrabCut, trimap": snakemake.input.trimap,
        },
        target_ids_csv=snakemake.input.target_ids,
        channel_order=snakemake.params.channel_order,
        num_images=snakemake.params.num_images,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=snakemake.output,
    )

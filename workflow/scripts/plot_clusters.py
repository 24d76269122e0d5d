"""Draw the largest clusters with their ellipses."""

from job import logged

from weaklesion.report.figures.supervision import plot_clusters

with logged(snakemake.log[0]):
    plot_clusters(
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses,
        clusters_csv=snakemake.input.clusters,
        channel_order=snakemake.params.channel_order,
        num_rows=snakemake.params.num_rows,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=snakemake.output,
    )

"""Cluster the lesions of one dataset by their ellipses."""

from job import logged

from weaklesion.supervision.classes import cluster_lesions

with logged(snakemake.log[0]):
    cluster_lesions(
        samples_csv=snakemake.input.samples,
        images_npy=snakemake.input.images,
        ellipses_csv=snakemake.input.ellipses,
        clusters_csv=snakemake.output.clusters,
        quality_json=snakemake.output.quality,
        k=int(snakemake.wildcards.k),
        encoding=snakemake.params.encoding,
        fit_on=snakemake.params.fit_on,
        seed=snakemake.params.seed,
    )

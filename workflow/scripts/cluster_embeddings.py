"""Cluster the samples by their embeddings."""

from job import logged

from weaklesion.prediction.embeddings import cluster_embeddings

with logged(snakemake.log[0]):
    cluster_embeddings(
        samples_csv=snakemake.input.samples,
        embeddings_npy=snakemake.input.embeddings,
        clusters_csv=snakemake.output[0],
        k=int(snakemake.wildcards.k),
        fit_on=snakemake.params.fit_on,
        seed=snakemake.params.seed,
    )

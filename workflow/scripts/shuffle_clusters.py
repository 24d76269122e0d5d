"""Shuffle the clusters within each split: the control of the second task."""

from job import logged

from weaklesion.supervision.classes import shuffle_clusters

with logged(snakemake.log[0]):
    shuffle_clusters(
        samples_csv=snakemake.input.samples,
        clusters_csv=snakemake.input.clusters,
        shuffled_csv=snakemake.output[0],
        seed=snakemake.params.seed,
    )

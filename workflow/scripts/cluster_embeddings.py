"""Cluster the samples by their embeddings."""

from job import run

from weaklesion.prediction.embeddings import cluster_embeddings

run(snakemake, cluster_embeddings)

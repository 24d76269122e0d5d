"""Cluster the lesions of one dataset by their ellipses."""

from job import run

from weaklesion.supervision.classes import cluster_lesions

run(snakemake, cluster_lesions)

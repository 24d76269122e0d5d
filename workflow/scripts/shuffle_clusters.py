"""Shuffle the clusters within each split: the control of the second task."""

from job import run

from weaklesion.supervision.classes import shuffle_clusters

run(snakemake, shuffle_clusters)

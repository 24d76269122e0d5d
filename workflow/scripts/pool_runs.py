"""Describe the training runs of all folds as one run."""

from job import run

from weaklesion.prediction.pooling import pool_runs

run(snakemake, pool_runs)

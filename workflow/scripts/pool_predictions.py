"""Gather the predictions of all folds."""

from job import run

from weaklesion.prediction.pooling import pool_predictions

run(snakemake, pool_predictions)

"""Average the accuracy of the second task over the folds."""

from job import run

from weaklesion.prediction.pooling import pool_accuracies

run(snakemake, pool_accuracies)

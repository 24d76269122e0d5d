"""Split the patches of a cross-validated protocol."""

from job import run

from weaklesion.data.folds import split_fold

run(snakemake, split_fold)

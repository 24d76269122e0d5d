"""Score every test sample of one run."""

from job import run

from weaklesion.scoring.score import score_predictions

run(snakemake, score_predictions)

"""Predict masks with a trained network."""

from job import run

from weaklesion.prediction.predict import predict_arm

run(snakemake, predict_arm)

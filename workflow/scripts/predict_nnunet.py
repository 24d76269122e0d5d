"""Predict the test split with a trained nnU-Net."""

from job import run

from weaklesion.nnunet.predict import predict_nnunet

run(snakemake, predict_nnunet)

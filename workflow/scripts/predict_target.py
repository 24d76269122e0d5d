"""Take a target, such as the RECIST ellipse, as the prediction of the test split."""

from job import run

from weaklesion.prediction.files import predict_target

run(snakemake, predict_target)

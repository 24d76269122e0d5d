"""Export training and validation samples, and let nnU-Net plan and preprocess them."""

from job import run

from weaklesion.nnunet.prepare import prepare_nnunet

run(snakemake, prepare_nnunet)

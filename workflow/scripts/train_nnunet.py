"""Train nnU-Net's own network with one seed, for the budget of the study."""

from job import run

from weaklesion.nnunet.train import train_nnunet

run(snakemake, train_nnunet)

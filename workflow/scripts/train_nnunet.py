"""Train nnU-Net's own network with one seed, for the budget of the study."""

from job import run

from weaklesion.nnunet.train import train_nnunet
from weaklesion.study.data_facts import data_facts

# not a param, so that a corrected licence does not train again
data = data_facts(snakemake.config, snakemake.wildcards.dataset, snakemake.wildcards.protocol)
run(snakemake, train_nnunet, data=data)

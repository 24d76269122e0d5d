"""Train one arm with one seed."""

from pathlib import Path

from job import run

from weaklesion.study.data_facts import data_facts
from weaklesion.training.train import train_arm

folder = Path(snakemake.output.model_safetensors).parent
# neither is a param, so that a corrected licence, or a wish for curves, does not train again
data = data_facts(snakemake.config, snakemake.wildcards.dataset, snakemake.wildcards.protocol)
tensorboard = snakemake.config["tensorboard"]
run(snakemake, train_arm, copied="images_npy", run_dir=folder, data=data, tensorboard=tensorboard)

"""Train one arm with one seed."""

from pathlib import Path

from job import run

from weaklesion.study.data_facts import data_facts
from weaklesion.training.train import train_arm

folder = Path(snakemake.output.model_safetensors).parent
run(
    snakemake,
    train_arm,
    copied="images_npy",
    run_dir=folder,
    # none is a param: a corrected licence, a wish for curves, or an arm that no longer needs the
    # last weights does not train again
    data=data_facts(snakemake.config, snakemake.wildcards.dataset, snakemake.wildcards.protocol),
    tensorboard=snakemake.config["tensorboard"],
    keep_last=hasattr(snakemake.output, "last_safetensors"),
)

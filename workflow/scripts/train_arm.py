"""Train one arm with one seed."""

from pathlib import Path

from job import run

from weaklesion.training.train import train_arm

folder = Path(snakemake.output.model_safetensors).parent
run(snakemake, train_arm, copied="images_npy", run_dir=folder)

"""Train one arm with one seed."""

from pathlib import Path

from job import run

from weaklesion.training.train import train_arm

run(snakemake, train_arm, run_dir=Path(snakemake.output.model_safetensors).parent)

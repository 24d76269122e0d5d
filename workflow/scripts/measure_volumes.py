"""Measure the volumes that marks give, against masks in three dimensions."""

from job import run

from weaklesion.volumes.lits_lesions import measure_volumes

run(snakemake, measure_volumes)

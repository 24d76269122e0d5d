"""Label each sample by whether its reference has any foreground."""

from job import run

from weaklesion.supervision.presence import label_presence

run(snakemake, label_presence)

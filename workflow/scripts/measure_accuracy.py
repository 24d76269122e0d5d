"""Measure how well a network learned the classes of its second task."""

from job import run

from weaklesion.prediction.accuracy import measure_accuracy

run(snakemake, measure_accuracy)

"""Tabulate test and validation Dice against a setting that is swept."""

from job import run

from weaklesion.report.tables.sweep import tabulate_sweep

run(snakemake, tabulate_sweep)

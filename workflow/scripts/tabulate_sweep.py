"""Tabulate Dice against a setting that is swept."""

from job import logged

from weaklesion.sweeps import tabulate_sweep

with logged(snakemake.log[0]):
    tabulate_sweep(
        runs=snakemake.params.runs,
        points=snakemake.params.points,
        over=snakemake.params.over,
        undefined=snakemake.params.undefined,
        table_csv=snakemake.output[0],
    )

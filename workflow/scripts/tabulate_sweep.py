"""Tabulate test and validation Dice against a setting that is swept."""

from job import logged

from weaklesion.report.tables.sweep import tabulate_sweep

with logged(snakemake.log[0]):
    tabulate_sweep(
        runs=snakemake.params.runs,
        points=snakemake.params.points,
        over=snakemake.params.over,
        undefined=snakemake.params.undefined,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        table_csv=snakemake.output[0],
    )

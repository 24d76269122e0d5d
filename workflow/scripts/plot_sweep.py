"""Plot test and validation Dice against a setting that is swept."""

from job import logged

from weaklesion.report.figures.sweep import plot_sweep

with logged(snakemake.log[0]):
    plot_sweep(
        table_csv=snakemake.input.table,
        over=snakemake.params.over,
        own=snakemake.params.own,
        title=snakemake.params.title,
        figures=[snakemake.output.svg, snakemake.output.png],
    )

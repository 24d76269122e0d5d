"""Plot Dice against a setting that is swept."""

from job import logged

from weaklesion.sweeps import plot_sweep

with logged(snakemake.log[0]):
    plot_sweep(
        runs=snakemake.params.runs,
        points=snakemake.params.points,
        over=snakemake.params.over,
        own=snakemake.params.own,
        undefined=snakemake.params.undefined,
        draws=snakemake.params.draws,
        seed=snakemake.params.seed,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        figures=[snakemake.output.svg, snakemake.output.png],
    )

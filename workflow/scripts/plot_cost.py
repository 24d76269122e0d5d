"""Plot Dice against the hours of training."""

from job import logged

from weaklesion.report.figures.arms import plot_cost

with logged(snakemake.log[0]):
    plot_cost(
        table_csv=snakemake.input.table,
        all_arms=snakemake.params.all_arms,
        title=snakemake.params.title,
        figures=[snakemake.output.svg, snakemake.output.png],
    )

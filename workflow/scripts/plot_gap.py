"""Plot what arms lack against others."""

from job import logged

from weaklesion.report.figures.gap import plot_gap

with logged(snakemake.log[0]):
    plot_gap(
        table_csv=snakemake.input.table,
        samples_csv=snakemake.input.samples,
        title=snakemake.params.title,
        figures=[snakemake.output.svg, snakemake.output.png],
    )

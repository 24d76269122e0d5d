"""Say how well the second task is learned, beside the published numbers."""

from job import logged

from weaklesion.report.tables.accuracy import tabulate_accuracy

with logged(snakemake.log[0]):
    tabulate_accuracy(
        runs=snakemake.params.runs,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

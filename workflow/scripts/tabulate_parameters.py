"""Say how many parameters each network has, beside the published numbers."""

from job import logged

from weaklesion.report.tables.parameters import tabulate_parameters

with logged(snakemake.log[0]):
    tabulate_parameters(
        runs=snakemake.params.runs,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

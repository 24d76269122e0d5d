"""Say what training takes, beside the published hours."""

from job import logged

from weaklesion.report.tables.cost import tabulate_cost

with logged(snakemake.log[0]):
    tabulate_cost(
        runs=snakemake.params.runs,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

"""Put several papers' answers side by side."""

from job import logged

from weaklesion.report.tables.answers import tabulate_answers

with logged(snakemake.log[0]):
    tabulate_answers(
        runs=snakemake.params.runs,
        pairs=snakemake.params.pairs,
        undefined=snakemake.params.undefined,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

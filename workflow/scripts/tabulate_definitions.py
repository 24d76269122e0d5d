"""Score the runs of Table 1 as the paper, its code and textbooks define its metrics."""

from job import logged

from weaklesion.report.tables.definitions import tabulate_definitions

with logged(snakemake.log[0]):
    tabulate_definitions(
        scores_csvs=snakemake.input.scores,
        expected=snakemake.params.expected,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        published_arms=snakemake.params.published_arms,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

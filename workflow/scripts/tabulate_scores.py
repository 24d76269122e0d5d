"""Make a table of arms, beside the published numbers."""

from job import logged

from weaklesion.report.tables.scores import tabulate_scores

with logged(snakemake.log[0]):
    tabulate_scores(
        item=snakemake.wildcards.item,
        scores_csvs=snakemake.input.scores,
        expected=snakemake.params.expected,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        published_arms=snakemake.params.published_arms,
        protocols=snakemake.params.protocols,
        baseline=snakemake.params.baseline,
        columns=snakemake.params.columns,
        references=snakemake.params.references,
        sources=snakemake.params.sources,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

"""Make Table 1 beside the published numbers."""

from job import logged

from weaklesion.tables import tabulate_table1

with logged(snakemake.log[0]):
    tabulate_table1(
        scores_csvs=snakemake.input.scores,
        expected=snakemake.params.expected,
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        published_arms=snakemake.params.published_arms,
        protocols=snakemake.params.protocols,
        baseline=snakemake.params.baseline,
        references=snakemake.params.references,
        sources=snakemake.params.sources,
        bootstrap_draws=snakemake.params.bootstrap_draws,
        permutation_draws=snakemake.params.permutation_draws,
        seed=snakemake.params.seed,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

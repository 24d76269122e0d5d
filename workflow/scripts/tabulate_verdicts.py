"""Judge the paper's claims."""

from job import logged

from weaklesion.report.tables.verdicts import tabulate_verdicts

with logged(snakemake.log[0]):
    tabulate_verdicts(
        runs=[*snakemake.params.untrained, *snakemake.params.trained],
        published_yaml=snakemake.input.published,
        published_datasets=snakemake.params.published_datasets,
        protocols=snakemake.params.protocols,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

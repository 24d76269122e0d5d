"""Say how far a table depends on what empty masks count as."""

from job import logged

from weaklesion.report.tables.policies import tabulate_policies

with logged(snakemake.log[0]):
    tabulate_policies(
        runs=snakemake.params.runs,
        baseline=snakemake.params.baseline,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

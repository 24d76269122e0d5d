"""Say what arms lack against others, and on which images."""

from job import logged

from weaklesion.report.tables.gap import tabulate_gap

with logged(snakemake.log[0]):
    tabulate_gap(
        runs=snakemake.params.runs,
        traits=snakemake.params.traits,
        arms=snakemake.params.arms,
        against=snakemake.params.against,
        undefined=snakemake.params.undefined,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        samples_csv=snakemake.output.samples,
        table_html=snakemake.output.html,
    )

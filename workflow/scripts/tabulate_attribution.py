"""Say what each defect does alone."""

from job import logged

from weaklesion.report.tables.attribution import tabulate_attribution

with logged(snakemake.log[0]):
    tabulate_attribution(
        runs=snakemake.params.runs,
        flips=snakemake.params.flips,
        undefined=snakemake.params.undefined,
        arms=snakemake.params.arms,
        baseline=snakemake.params.baseline,
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

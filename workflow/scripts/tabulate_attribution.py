"""Say what each defect does alone."""

from job import logged

from weaklesion.attribution import tabulate_attribution
from weaklesion.resampling import Resampling

with logged(snakemake.log[0]):
    tabulate_attribution(
        runs=snakemake.params.runs,
        flips=snakemake.params.flips,
        undefined=snakemake.params.undefined,
        arm=snakemake.params.arms[0],
        multi_task_arm=snakemake.params.arms[1],
        resampling=Resampling(**snakemake.params.statistics),
        title=snakemake.params.title,
        table_csv=snakemake.output.csv,
        table_html=snakemake.output.html,
    )

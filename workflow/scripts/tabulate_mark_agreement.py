"""Compare the masks of test images with the marks of their lesions."""

from job import logged

from weaklesion.report.tables.mark_agreement import tabulate_mark_agreement

with logged(snakemake.log[0]):
    tabulate_mark_agreement(
        runs=snakemake.params.runs,
        blocks=snakemake.params.blocks,
        table_csv=snakemake.output.csv,
        masks_csv=snakemake.output.masks,
    )

"""Say what was run, on what, with what, and what follows."""

from job import logged

from weaklesion.report.tables.overview import write_overview

with logged(snakemake.log[0]):
    write_overview(
        study=snakemake.params.study,
        items=snakemake.params.titles,
        runs=snakemake.params.runs,
        patches=snakemake.params.patches,
        verdicts_csv=snakemake.input.verdicts,
        table1_csv=snakemake.input.table1,
        page_html=snakemake.output[0],
    )

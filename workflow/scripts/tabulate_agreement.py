"""Say how well each supervision agrees with the dense references."""

from job import logged

from weaklesion.report.tables.agreement import tabulate_agreement

with logged(snakemake.log[0]):
    tabulate_agreement(
        agreement_csvs=snakemake.input.agreements,
        without_reference=snakemake.params.without_reference,
        table_csv=snakemake.output.csv,
        page_html=snakemake.output.html,
    )

"""Say what can be known of masks without a dense one, and what cannot."""

from job import logged

from weaklesion.report.tables.mark_agreement_page import write_mark_agreement

with logged(snakemake.log[0]):
    write_mark_agreement(
        table_csv=snakemake.input.table,
        figures=snakemake.params.figures,
        recoveries=snakemake.params.recoveries,
        recovery_noise=snakemake.params.recovery_noise,
        models=snakemake.params.models,
        title=snakemake.params.title,
        recovery_csv=snakemake.output.recovery,
        page_html=snakemake.output.html,
    )

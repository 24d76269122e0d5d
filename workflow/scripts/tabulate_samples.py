"""Say what became of each dataset's samples under each protocol."""

from job import logged

from weaklesion.report.tables.samples import tabulate_samples

with logged(snakemake.log[0]):
    tabulate_samples(blocks=snakemake.params.blocks, page_html=snakemake.output.html)

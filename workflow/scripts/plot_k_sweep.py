"""Plot the quality of the clusters against K."""

from job import logged

from weaklesion.report.figures.supervision import plot_k_sweep

with logged(snakemake.log[0]):
    plot_k_sweep(
        quality_jsons=snakemake.input.quality,
        chosen_k=snakemake.params.chosen_k,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=snakemake.output,
    )

"""Plot losses and validation Dice of every arm and seed."""

from job import logged

from weaklesion.report.figures.arms import plot_training_curves

with logged(snakemake.log[0]):
    plot_training_curves(
        runs=snakemake.params.runs,
        all_arms=snakemake.params.all_arms,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=snakemake.output,
    )

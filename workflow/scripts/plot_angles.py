"""Plot the angles of the marks, and what each feature of the clusters weighs."""

from job import logged

from weaklesion.report.figures.supervision import plot_angles

with logged(snakemake.log[0]):
    plot_angles(
        ellipses_csv=snakemake.input.ellipses,
        title=f"{snakemake.wildcards.dataset}, protocol {snakemake.wildcards.protocol}",
        figures=snakemake.output,
    )

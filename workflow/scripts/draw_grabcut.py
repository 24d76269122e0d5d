"""Segment each sample by GrabCut, starting from its ellipse."""

from job import logged

from weaklesion.supervision.grabcut import GrabCutSettings, draw_grabcut

with logged(snakemake.log[0]):
    draw_grabcut(
        samples_csv=snakemake.input.samples,
        images_npy=snakemake.input.images,
        ellipses_csv=snakemake.input.ellipses,
        ellipse_npy=snakemake.input.ellipse,
        target_npy=snakemake.output.target,
        settings=GrabCutSettings(**snakemake.params.settings),
        workers=snakemake.threads,
    )

"""Draw what a network that sees the mark is trained on."""

from job import logged

from weaklesion.report.figures.warps import draw_warps
from weaklesion.study.settings import TrainingSettings, with_choice

with logged(snakemake.log[0]):
    draw_warps(
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        target_npy=snakemake.input.target,
        target_ids_csv=snakemake.input.target_ids,
        ellipses_csv=snakemake.input.ellipses,
        settings=with_choice(
            TrainingSettings(**snakemake.params.settings), snakemake.input.warp or None
        ),
        num_samples=snakemake.params.num_samples,
        figure_png=snakemake.output.figure,
    )

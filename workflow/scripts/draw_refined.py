"""Make each sample's pseudo-mask from its levels and its mark."""

import json
from pathlib import Path

from job import logged

from weaklesion.pseudo_masks import RefinedSettings
from weaklesion.supervision.pseudo_masks import draw_refined

with logged(snakemake.log[0]):
    choice = json.loads(Path(snakemake.input.choice).read_text(encoding="utf-8"))
    draw_refined(
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses,
        target_npy=snakemake.output.target,
        settings=RefinedSettings(prior_weight=choice["prior_weight"], **snakemake.params.constants),
        channel_order=snakemake.params.channel_order,
        workers=snakemake.threads,
    )

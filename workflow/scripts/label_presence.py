"""Label each sample by whether its reference has any foreground."""

from job import logged

from weaklesion.supervision.presence import label_presence

with logged(snakemake.log[0]):
    label_presence(
        samples_csv=snakemake.input.samples,
        target_npy=snakemake.input.target,
        labels_csv=snakemake.output[0],
    )

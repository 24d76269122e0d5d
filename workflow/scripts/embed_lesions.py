"""Take what a trained network sees of each sample as the sample's embedding."""

from job import run

from weaklesion.prediction.embeddings import embed_lesions

run(snakemake, embed_lesions)

"""Take what a trained network sees of each sample as the sample's embedding."""

from job import logged

from weaklesion.prediction.embeddings import embed_lesions
from weaklesion.prediction.files import PredictionFiles
from weaklesion.support.devices import claimed_device

with logged(snakemake.log[0]), claimed_device(snakemake.resources.get("jobs_per_gpu", 1)):
    embed_lesions(
        files=PredictionFiles(
            model_safetensors=snakemake.input.model,
            run_json=snakemake.input.run,
            images_npy=snakemake.input.images,
            samples_csv=snakemake.input.samples,
        ),
        embeddings_npy=snakemake.output[0],
        threads=snakemake.threads,
    )

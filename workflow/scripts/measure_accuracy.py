"""Measure how well a network learned the classes of its second task."""

from job import logged

from weaklesion.prediction.accuracy import measure_accuracy
from weaklesion.prediction.files import PredictionFiles
from weaklesion.support.devices import claimed_device

with logged(snakemake.log[0]), claimed_device(snakemake.resources.get("jobs_per_gpu", 1)):
    measure_accuracy(
        files=PredictionFiles(
            model_safetensors=snakemake.input.model,
            run_json=snakemake.input.run,
            images_npy=snakemake.input.images,
            samples_csv=snakemake.input.samples,
            clusters_csv=snakemake.input.clusters,
        ),
        accuracy_json=snakemake.output[0],
        threads=snakemake.threads,
    )

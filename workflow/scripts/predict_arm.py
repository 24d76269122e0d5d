"""Predict the test split with a trained network."""

from job import logged

from weaklesion.prediction.crf import CRFSettings
from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.predict import predict_arm
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.support.devices import claimed_device

with logged(snakemake.log[0]), claimed_device(snakemake.resources.get("jobs_per_gpu", 1)):
    predict_arm(
        files=PredictionFiles(
            model_safetensors=snakemake.input.model,
            run_json=snakemake.input.run,
            images_npy=snakemake.input.images,
            samples_csv=snakemake.input.samples,
            ellipses_csv=snakemake.input.ellipses or None,
            clusters_csv=snakemake.input.clusters or None,
            embeddings_npy=snakemake.input.embeddings or None,
        ),
        predictions_npy=snakemake.output.predictions,
        predictions_csv=snakemake.output.ids,
        settings=PredictionSettings(
            crf=CRFSettings(**snakemake.params.crf) if snakemake.params.crf else None,
            partner=snakemake.params.partner,
            encoding=snakemake.params.encoding,
            seed=int(snakemake.wildcards.seed),
            gate=snakemake.params.gate,
            consistent=bool(snakemake.params.consistent),
        ),
        threads=snakemake.threads,
    )

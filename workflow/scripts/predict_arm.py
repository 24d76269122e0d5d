"""Predict the test split with a trained network."""

from job import logged

from weaklesion.prediction.crf import CRFSettings
from weaklesion.prediction.predict import predict_arm
from weaklesion.support.devices import claimed_device

with logged(snakemake.log[0]), claimed_device(snakemake.resources.get("jobs_per_gpu", 1)):
    predict_arm(
        model_safetensors=snakemake.input.model,
        run_json=snakemake.input.run,
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses or None,
        clusters_csv=snakemake.input.clusters or None,
        encoding=snakemake.params.encoding,
        embeddings_npy=snakemake.input.embeddings or None,
        partner=snakemake.params.partner,
        seed=int(snakemake.wildcards.seed),
        crf=CRFSettings(**snakemake.params.crf) if snakemake.params.crf else None,
        gate=snakemake.params.gate,
        consistent=bool(snakemake.params.consistent),
        predictions_npy=snakemake.output.predictions,
        predictions_csv=snakemake.output.ids,
        threads=snakemake.threads,
    )

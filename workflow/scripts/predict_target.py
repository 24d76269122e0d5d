"""Take a target, such as the RECIST ellipse, as the prediction of the test split."""

from job import logged

from weaklesion.prediction.files import predict_target

with logged(snakemake.log[0]):
    predict_target(
        target_npy=snakemake.input.target,
        target_ids_csv=snakemake.input.target_ids,
        samples_csv=snakemake.input.samples,
        predictions_npy=snakemake.output.predictions,
        predictions_csv=snakemake.output.ids,
    )

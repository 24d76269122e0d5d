"""Score every test sample of one run."""

from job import logged

from weaklesion.scoring.score import score_predictions

with logged(snakemake.log[0]):
    score_predictions(
        predictions_npy=snakemake.input.predictions,
        predictions_csv=snakemake.input.ids,
        reference_npy=snakemake.input.reference,
        reference_ids_csv=snakemake.input.reference_ids,
        samples_csv=snakemake.input.samples,
        scores_csv=snakemake.output.scores,
        dataset=snakemake.wildcards.dataset,
        protocol=snakemake.wildcards.protocol,
        arm=snakemake.wildcards.arm,
        seed=int(snakemake.wildcards.seed),
        workers=snakemake.threads,
    )

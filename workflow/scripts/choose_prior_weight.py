"""Choose the prior of the pseudo-masks by the training marks that it recovers."""

from job import logged

from weaklesion.selection.recovery import RecoverySettings, choose_prior_weight

with logged(snakemake.log[0]):
    choose_prior_weight(
        images_npy=snakemake.input.images,
        samples_csv=snakemake.input.samples,
        ellipses_csv=snakemake.input.ellipses,
        recovery_csv=snakemake.output.recovery,
        choice_json=snakemake.output.choice,
        prior_weights=snakemake.params.prior_weights,
        constants=snakemake.params.constants,
        recovery=RecoverySettings(**snakemake.params.recovery),
        channel_order=snakemake.params.channel_order,
        workers=snakemake.threads,
    )

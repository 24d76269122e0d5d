"""Choose the prior of the pseudo-masks by the training marks that it recovers."""

from job import run

from weaklesion.selection.recovery import choose_prior_weight

run(snakemake, choose_prior_weight)

"""Mark each lesion anew, as a reader who keeps to its outline but not exactly to RECIST."""

from job import run

from weaklesion.supervision.simulated_readers import simulate_readers

run(snakemake, simulate_readers)

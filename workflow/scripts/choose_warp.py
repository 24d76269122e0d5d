"""Choose how far an arm's images are warped, by the marks that short trainings recover."""

from job import logged

from weaklesion.selection.recovery import RecoverySettings
from weaklesion.selection.warp_amplitude import ShortTraining, choose_amplitude
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.devices import claimed_device
from weaklesion.training.data import TrainingFiles

with logged(snakemake.log[0]), claimed_device(snakemake.resources.get("jobs_per_gpu", 1)):
    choose_amplitude(
        files=TrainingFiles(
            images_npy=snakemake.input.images,
            samples_csv=snakemake.input.samples,
            target_npy=snakemake.input.target,
            target_ids_csv=snakemake.input.target_ids,
            ellipses_csv=snakemake.input.ellipses,
        ),
        settings=TrainingSettings(**snakemake.params.settings),
        short=ShortTraining(**snakemake.params.short),
        recovery=RecoverySettings(**snakemake.params.recovery),
        seed=snakemake.params.seed,
        recovery_csv=snakemake.output.recovery,
        choice_json=snakemake.output.choice,
        threads=snakemake.threads,
    )

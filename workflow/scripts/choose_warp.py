"""Choose how far an arm's images are warped, by the marks that short trainings recover."""

from job import logged

from weaklesion.devices import claimed_device
from weaklesion.recovery import RecoverySettings
from weaklesion.training_data import TrainingFiles
from weaklesion.training_settings import TrainingSettings
from weaklesion.warp_choice import ShortTraining, choose_amplitude

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

"""Train one arm with one seed."""

from job import logged

from weaklesion.study.settings import TrainingSettings, with_choice
from weaklesion.support.devices import claimed_device
from weaklesion.support.scratch import node_local
from weaklesion.training.data import TrainingFiles
from weaklesion.training.train import RunOptions, train_arm

given = snakemake.resources

with (
    logged(snakemake.log[0]),
    claimed_device(given.get("jobs_per_gpu", 1)),
    node_local(snakemake.input.images, given.get("node_local") and given.tmpdir) as images_npy,
):
    train_arm(
        files=TrainingFiles(
            images_npy=images_npy,
            samples_csv=snakemake.input.samples,
            target_npy=snakemake.input.target,
            target_ids_csv=snakemake.input.target_ids,
            clusters_csv=snakemake.input.clusters or None,
            weights_pth=snakemake.input.weights or None,
            ellipses_csv=snakemake.input.ellipses or None,
            start_safetensors=snakemake.input.starts_from or None,
        ),
        run_dir=snakemake.output.model.removesuffix("/model.safetensors"),
        settings=with_choice(
            TrainingSettings(**snakemake.params.settings), snakemake.input.warp or None
        ),
        seed=int(snakemake.wildcards.seed),
        epochs_of_json=snakemake.input.epochs_of or None,
        options=RunOptions(
            threads=snakemake.threads,
            tensorboard=snakemake.params.tensorboard,
            keep_last=snakemake.output.get("last") is not None,
        ),
    )

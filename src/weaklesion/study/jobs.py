"""Inputs and settings of a job: one dataset, one protocol, one arm and one seed.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from weaklesion.networks.names import NETWORK_MODULES, PARTNER_MODELS
from weaklesion.study import protocols
from weaklesion.study.arms import (
    arm_definition,
    has_crf,
    is_prompted,
    is_soft,
    network_arm,
    num_clusters,
    training_settings,
    warp_arm,
)
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import Config
from weaklesion.study.settings import task_of

CT_LOADERS = ("lits", "lits_liver", "deeplesion")
Paths = str | list[str]  # an input that a job may lack, which is then an empty list


class Job(Protocol):
    """A run, or the wildcards of a job; only the wildcards of the job's rule are read."""

    dataset: str
    protocol: str
    arm: str
    seed: Any


class Jobs:
    """Inputs and settings of the jobs of one configuration."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self.config, self.layout = config, layout
        # every job asks for these several times
        self._arm = cache(lambda arm: arm_definition(config, arm))
        self._settings = cache(lambda *place: training_settings(config, *place))

    # A dataset under a protocol.

    def has_dense_masks(self, dataset: str) -> bool:
        """Whether a dataset has a dense reference."""
        return bool(self.config["datasets"][dataset]["reference"] == "dense")

    def switch(self, job: Job, stage: str, key: str) -> Any:
        """Value of a switch of the job's protocol for its dataset."""
        return protocols.stage_settings(self.config, job.dataset, job.protocol, stage)[key]

    def switched(self, stage: str, key: str) -> Callable[[Job], Any]:
        """Return an input function for the value of a switch."""
        return lambda wildcards: self.switch(wildcards, stage, key)

    def reference(self, job: Job) -> str:
        """Masks that the predictions of a dataset are scored against."""
        if self.has_dense_masks(job.dataset):
            return self._patches(job, "reference.npy")
        return self._targets(job, f"grabcut_{self._grabcut_init(job)}.npy")

    def reference_ids(self, job: Job) -> str:
        """Table with the ids of the masks of `reference`."""
        if self.has_dense_masks(job.dataset):
            return self._patches(job, "samples.csv")
        return self._targets(job, "ellipses.csv")

    def dense_reference(self, job: Job) -> Paths:
        """Dense masks of a dataset; an empty list where it has none."""
        has_one = self.has_dense_masks(job.dataset)
        return self._patches(job, "reference.npy") if has_one else []

    # Cross-validation.

    @property
    def in_folds(self) -> str:
        """Pattern of the cross-validated protocols, also with a flipped switch."""
        names = [name for name in self.config["protocols"] if self.folds(name)]
        return f"({'|'.join(map(re.escape, names)) or 'none'})(~[A-Za-z0-9]+)?"

    def folds(self, protocol: str) -> list[str]:
        """Folds of a protocol; none if it is not cross-validated."""
        return protocols.folds_of(self.config, protocol)

    def unsplit_file(self, name: str) -> Callable[[Job], str]:
        """Return an input function for a file of the patches that all folds of a protocol share."""
        return lambda job: str(
            self.layout.patches(job.dataset, protocols.unsplit(job.protocol)) / name
        )

    def fold(self, job: Job, number: int | None) -> dict[str, Any]:
        """A fold of the job's protocol (`weaklesion.data.folds.Fold`), as one param.

        Its seed is that of the dataset's split. Why one param: see `prediction_settings`.
        """
        settings = protocols.patch_settings(self.config, job.dataset, job.protocol)
        folds = len(self.folds(job.protocol))
        return {"number": number, "folds": folds, "seed": int(settings["split_seed"])}

    def files_of_folds(self, name: str) -> Callable[[Job], list[str]]:
        """Return an input function for a file of a run in each of its folds."""
        return lambda job: [
            str(self.layout.run(job.dataset, fold, job.arm, job.seed) / name)
            for fold in self.folds(job.protocol)
        ]

    # Channels and marks.

    def channel_order(self, job: Job) -> str:
        """Order of the channels of a dataset's patches: `rgb`, `bgr`, or `center` if grey."""
        settings = protocols.patch_settings(self.config, job.dataset, job.protocol)
        return str(settings.get("channel_order", "center"))

    def is_ct(self, job: Job) -> bool:
        """Whether levels of a dataset's patches are Hounsfield units in a window."""
        return self.config["datasets"][job.dataset]["loader"] in CT_LOADERS

    def measured_in_source(self, job: Job) -> bool:
        """Whether a dataset's marks were measured before images were resized to patches."""
        return protocols.measures_recist(self.config, job.dataset, job.protocol)

    def outside_patch(self, job: Job) -> str:
        """What becomes of an ellipse outside its patch, `empty` or `refuse`."""
        may_miss = protocols.may_miss_patch(self.config, job.dataset, job.protocol)
        return "empty" if may_miss else "refuse"

    def chosen_k(self, job: Job) -> int:
        """Number of clusters that the arms of a dataset use."""
        return int(self.config["datasets"][job.dataset]["num_clusters"])

    # An arm.

    def arm(self, job: Job) -> dict[str, Any]:
        """Definition of the job's arm."""
        return self._arm(job.arm)

    def modules_of_arm(self, job: Job, tasks: str | None) -> list[str]:
        """Modules of the arm's network, and of its task in a stage, by names inside the package.

        Args:
            job: the job.
            tasks: the package of the stage's tasks; None if the stage has one for all arms.
        """
        model = self.arm(job)["model"]
        network = f"networks.{NETWORK_MODULES[model]}"
        return [network] if tasks is None else [network, f"{tasks}.{task_of(model)}"]

    def arms_matching(self, chosen: Callable[[Config, str], bool]) -> str:
        """Pattern of the arms for which `chosen(config, arm)` is true, and of their variants."""
        names = [arm for arm in self.config["arms"] if chosen(self.config, arm)]
        joined = "|".join(map(re.escape, names)) or "none"
        return f"({joined})(~[a-z]+[0-9.]+)?"

    # Inputs of a training.

    def training_settings(self, job: Job) -> dict[str, Any]:
        """Settings of the arm's training."""
        return dict(self._settings(job.dataset, job.protocol, job.arm))

    def target(self, job: Job) -> str:
        """Target that an arm is trained on, or uses as its prediction."""
        target, teacher = self.arm(job)["target"], self.arm(job).get("taught_by")
        if teacher:
            return self._of_run(job, teacher, "taught.npy")
        if target == "dense":
            return self.reference(job)
        if target == "grabcut":
            target = f"grabcut_{self._grabcut_init(job)}"
        elif is_soft(self.config, job.dataset, job.protocol, job.arm):
            target = f"{target}_soft"
        elif self.arm(job).get("marks"):
            target = f"{target}_{self.arm(job)['marks']}"
        return self._targets(job, f"{target}.npy")

    def target_ids(self, job: Job) -> str:
        """Table with the ids of the target of `target`."""
        teacher = self.arm(job).get("taught_by")
        if teacher:
            return self._of_run(job, teacher, "taught.csv")
        if self.arm(job)["target"] == "dense":
            return self.reference_ids(job)
        return self.given_marks(job)

    def clusters(self, job: Job) -> Paths:
        """Clusters for the second task or the pairs of an arm; an empty list for other arms."""
        k = num_clusters(self.config, job.dataset, job.arm)
        kind = self.arm(job).get("clusters")
        ending = "" if kind == "shape" else f"_{kind}"
        return [] if k is None else self._clusters(job, f"k{k}{ending}.csv")

    def weights(self, job: Job) -> Paths:
        """ImageNet weights of an arm's encoder; an empty list if it starts from scratch."""
        settings = self.training_settings(job)
        if settings["weights"] == "none":
            return []
        weights = self.config["imagenet_weights"]
        file = weights["files"][settings["encoder"]]
        return f"resources/imagenet_weights/{weights['source']}/archives/{file}"

    def starts_from(self, job: Job) -> Paths:
        """Network whose encoder a training starts from; an empty list for other arms."""
        other = self.arm(job).get("starts_from")
        return self._of_run(job, other, "model.safetensors") if other else []

    def epochs_of(self, job: Job) -> Paths:
        """Record of the run whose number of epochs an arm uses; an empty list for other arms."""
        other = self.arm(job).get("epochs_of")
        return self._of_run(job, other, "run.json") if other else []

    def training_prompts(self, job: Job) -> Paths:
        """Ellipses of the marks for a network that sees them; an empty list for other arms."""
        return self._targets(job, "ellipses.csv") if is_prompted(self.config, job.arm) else []

    def warp(self, job: Job) -> Paths:
        """Choice of the warp of an arm's images; an empty list where no warp is chosen."""
        arm = warp_arm(self.config, job.dataset, job.protocol, job.arm)
        stage = self.layout.stage(job.dataset, job.protocol)
        return [] if arm is None else str(stage / f"warps/{arm}.json")

    # A prediction.

    def prediction_settings(self, *splits: str) -> Callable[[Job], dict[str, Any]]:
        """Return an input function for the arm's `PredictionSettings`, as one param.

        Snakemake compares the params of a job as a set of values, without their names. As params of
        their own, two switches that change places would leave the job as it is.
        """

        def settings(job: Job) -> dict[str, Any]:
            arm = self.arm(job)
            by_levels = self.switch(job, "supervision", "refined") if arm.get("levels") else None
            return {
                "splits": list(splits),
                "crf": self.config["crf"] if has_crf(self.config, job.arm) else None,
                "partner": self.partner(job),
                "encoding": self.switch(job, "clusters", "encoding"),
                "seed": int(job.seed),
                "gate": arm.get("gate"),
                "consistent": bool(arm.get("consistent")),
                "compare_ends": protocols.has_true_ends(self.config, job.dataset, job.protocol),
                "levels": by_levels,
                "channel_order": self.channel_order(job),
                "sized": bool(arm.get("sized")),
            }

        return settings

    def network_file(self, name: str) -> Callable[[Job], str]:
        """Return an input function for a file of the run whose network an arm predicts with."""
        return lambda wildcards: self._of_run(
            wildcards, network_arm(self.config, wildcards.arm), name
        )

    def weights_file(self, job: Job) -> str:
        """Weights that an arm predicts with: those that `checkpoint` kept, or the last ones."""
        last = self.arm(job).get("weights_of") == "last"
        return self.network_file("last.safetensors" if last else "model.safetensors")(job)

    def embedding_file(self, name: str) -> Callable[[Job], str]:
        """Return an input function for a file of the run whose network embeds the lesions."""

        def file(wildcards: Job) -> str:
            arm = self.switch(wildcards, "clusters", "embedding_of")
            seed = self.switch(wildcards, "clusters", "embedding_seed")
            run = self.layout.run(wildcards.dataset, wildcards.protocol, arm, seed)
            return str(run / name)

        return file

    def given_marks(self, job: Job) -> str:
        """Ellipses of the marks that an arm sees: the true ones, or perturbed ones."""
        marks = self.arm(job).get("marks")
        return self._targets(job, f"ellipses_{marks}.csv" if marks else "ellipses.csv")

    def partner(self, job: Job) -> str:
        """Strategy by which an arm's images get a partner."""
        return str(self.arm(job).get("partner", "nearest"))

    def partner_embeddings(self, job: Job) -> Paths:
        """Embeddings that choose partners, if pairs come from clusters of embeddings."""
        by_embedding = self.arm(job).get("clusters") == "embedding"
        needed = self._takes_nearest(job) and by_embedding
        return self._clusters(job, "embeddings.npy") if needed else []

    def partner_ellipses(self, job: Job) -> Paths:
        """Ellipses that prediction reads, as marks of the images or to choose partners."""
        if is_prompted(self.config, job.arm):
            return self.given_marks(job)
        needed = self._takes_nearest(job) and not self.partner_embeddings(job)
        return self._targets(job, "ellipses.csv") if needed else []

    def partner_clusters(self, job: Job) -> Paths:
        """Clusters that partners come from; an empty list for arms without partners."""
        return self.clusters(job) if self.partner_ellipses(job) else []

    def _takes_nearest(self, job: Job) -> bool:
        return self.partner(job) == "nearest" and self.arm(job)["model"] in PARTNER_MODELS

    def _grabcut_init(self, job: Job) -> str:
        return str(self.switch(job, "supervision", "grabcut")["init"])

    def _patches(self, job: Job, name: str) -> str:
        return str(self.layout.patches(job.dataset, job.protocol) / name)

    def _targets(self, job: Job, name: str) -> str:
        return str(self.layout.targets(job.dataset, job.protocol) / name)

    def _clusters(self, job: Job, name: str) -> str:
        return str(self.layout.clusters(job.dataset, job.protocol) / name)

    def _of_run(self, job: Job, arm: str, name: str) -> str:
        return str(self.layout.run(job.dataset, job.protocol, arm, job.seed) / name)

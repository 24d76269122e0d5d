"""nnU-Net's trainer with a budget, a seed, and a history that can be read without PyTorch.

nnU-Net imports this file in its own environment, which has no `weaklesion`.
"""

import json
import os
import platform
import random
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

REPORTED_PACKAGES = ("nnunetv2", "batchgeneratorsv2", "dynamic-network-architectures", "torch")


class WeakLesionTrainer(nnUNetTrainer):
    """nnU-Net's trainer, apart from the budget and the seed.

    `WEAKLESION_NNUNET_BUDGET` has `epochs`, `iterations`, `val_iterations`, `batch_size` (None for
    the plan's), `seed` and `threads` as JSON.
    """

    batch_size: int

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device,
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.budget = json.loads(os.environ["WEAKLESION_NNUNET_BUDGET"])
        self.num_epochs = self.budget["epochs"]
        self.num_iterations_per_epoch = self.budget["iterations"]
        self.num_val_iterations_per_epoch = self.budget["val_iterations"]
        self.save_every = 10
        if self.device.type == "cpu":
            torch.set_num_threads(self.budget["threads"])
        random.seed(self.budget["seed"])
        np.random.seed(self.budget["seed"])  # noqa: NPY002, because nnU-Net draws from it
        torch.manual_seed(self.budget["seed"])

    def _set_batch_size_and_oversample(self) -> None:
        super()._set_batch_size_and_oversample()
        self.batch_size = self.budget["batch_size"] or self.batch_size

    def on_epoch_end(self) -> None:
        """End an epoch and write the history so far, with what the training is."""
        super().on_epoch_end()
        columns = {
            "train_loss": "train_losses",
            "val_loss": "val_losses",
            "val_dice": "mean_fg_dice",
            "learning_rate": "lrs",
            "started": "epoch_start_timestamps",
            "ended": "epoch_end_timestamps",
        }
        values = {name: self.logger.get_value(key, step=None) for name, key in columns.items()}
        rows = [
            {"epoch": epoch} | {name: float(column[epoch]) for name, column in values.items()}
            for epoch in range(self.current_epoch)
        ]
        path = Path(self.output_folder) / "history.json"
        path.with_suffix(".part").write_text(json.dumps({"epochs": rows} | self._described()))
        path.with_suffix(".part").replace(path)
        last = rows[-1]
        print(
            f"weaklesion: epoch {len(rows)}/{self.num_epochs}: loss {last['train_loss']:.4f},"
            f" validation loss {last['val_loss']:.4f}, Dice against the target"
            f" {last['val_dice']:.4f}; {last['ended'] - last['started']:.0f} s",
            flush=True,
        )

    def _described(self) -> dict[str, Any]:
        """Return what the training is, for `run.json`."""
        on_gpu = self.device.type == "cuda"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "planned": {
                "batch_size": self.batch_size,
                "patch_px": [int(side) for side in self.configuration_manager.patch_size],
            },
            "num_parameters": sum(each.numel() for each in self.network.parameters()),
            "device": torch.cuda.get_device_name() if on_gpu else "cpu",
            "peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024,
            "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
            "versions": {"python": platform.python_version(), "numpy": np.__version__}
            | {name: version(name) for name in REPORTED_PACKAGES},
        }

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Predict nothing: validation images choose neither weights nor post-processing here."""

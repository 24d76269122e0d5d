"""Predict masks for the test split."""

import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.special import expit
from torch import nn

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, split_ids
from weaklesion.errors import DataError
from weaklesion.models import build_model
from weaklesion.networks.names import PARTNER_MODELS
from weaklesion.prediction.crf import CRFSettings, refine
from weaklesion.prediction.files import write_predictions
from weaklesion.prediction.gate import answer
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.progress import progress
from weaklesion.training.cpu_convolutions import speed_up_on_cpu
from weaklesion.training.data import load_prompts
from weaklesion.training.inputs import InputFrame
from weaklesion.training.prompts import (
    PromptSettings,
    mean_of_views,
    plain_inputs,
    to_source_logits,
    views,
)
from weaklesion.training.steps import EVALUATION_BATCH, network_outputs, prompted_logits

logger = logging.getLogger(__name__)

Partner = Literal["nearest", "random", "itself"]


def predict_arm(
    *,
    model_safetensors: str | Path,
    run_json: str | Path,
    images_npy: str | Path,
    samples_csv: str | Path,
    predictions_npy: str | Path,
    predictions_csv: str | Path,
    ellipses_csv: str | Path | None = None,
    clusters_csv: str | Path | None = None,
    embeddings_npy: str | Path | None = None,
    encoding: Literal["raw", "opencv", "clicked", "periodic"] = "raw",
    partner: Partner = "nearest",
    seed: int = 0,
    crf: CRFSettings | None = None,
    gate: float | None = None,
    consistent: bool = False,
    threads: int = 1,
) -> None:
    """Predict the test split with a trained network.

    Co-segmentation predicts twice: first each image with itself as partner, then with a training
    sample of the cluster that the first prediction belongs to (`weaklesion.prediction.partners`),
    or with another where `partner` says so. No reference is read.

    Args:
        model_safetensors: its weights.
        run_json: the run's description, for the settings.
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        predictions_npy: written: (T, side, side) uint8 of 0 and 1, for the T test samples.
        predictions_csv: written: `id` of each prediction, and of co-segmentation its `partner` and,
            of the nearest in shape, the partner's cluster, `partner_cluster`. Of networks that see
            the mark, `agreement` and `from_network` (`weaklesion.prediction.gate.Answer`).
        ellipses_csv: ellipses of the samples: for networks that see the mark, and for
            co-segmentation, which reads those of training.
        clusters_csv: their clusters, for co-segmentation; those of training are read.
        embeddings_npy: embeddings of all samples, (N, C), where pairs come from clusters of those:
            the partner is then the training sample with the nearest embedding.
        encoding: of the clusters.
        partner: of co-segmentation's images: `nearest`, see above; `random`, any training sample;
            or `itself`.
        seed: decides which partners are random.
        crf: settings of the CRF that decides from the probabilities; None for at least 0.5.
        gate: of networks that see the mark, see `weaklesion.prediction.gate.answer`.
        consistent: likewise.
        threads: CPU threads.

    Raises:
        DataError: if the weights are truncated or another network's.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, settings = load_network(model_safetensors, run_json, device)
    ids = split_ids(samples_csv, "test")
    images = read_rows(images_npy, samples_csv, ids)
    if settings.prompt is not None:
        prompts = load_prompts(ellipses_csv, ids, device)
        assert ellipses_csv is not None
        ellipses = read_ellipses(ellipses_csv)
        logits = predict_prompted(model, images, prompts, settings)
        answers = [
            answer(scores, ellipses[name], gate=gate, consistent=consistent)
            for name, scores in zip(ids, logits, strict=True)
        ]
        table = pd.DataFrame(
            {
                "id": ids,
                "agreement": [given.agreement for given in answers],
                "from_network": [given.from_network for given in answers],
            }
        )
        masks = np.stack([given.mask for given in answers])
        write_predictions(masks, table, predictions_npy, predictions_csv)
        return
    frame = InputFrame(
        side_px=images.shape[1], input_px=settings.input_px, pad_to_hw=settings.pad_to
    )
    loaded = frame.load_images(images, device)
    partners = loaded if settings.is_paired else None
    logits = predict_logits(model, loaded, partners, frame, settings)
    table = pd.DataFrame({"id": ids})
    # the released network's partner changes nothing (T9)
    if settings.model in PARTNER_MODELS and partner != "itself":
        if partner == "random":
            trained_on = split_ids(samples_csv, "train")
            chosen = {"partner": np.random.default_rng(seed).choice(trained_on, len(ids))}
        elif embeddings_npy is not None:
            from weaklesion.prediction.partners import nearest_by_embedding

            chosen = {"partner": nearest_by_embedding(embeddings_npy, samples_csv, ids)}
        elif ellipses_csv is None or clusters_csv is None:
            raise DataError(f"{settings.model} needs ellipses and clusters to choose partners.")
        else:
            from weaklesion.prediction.partners import (
                choose_partners,  # slow to import, and seldom needed
            )

            masks = logits >= 0
            chosen = choose_partners(masks, samples_csv, ellipses_csv, clusters_csv, encoding)
        table = table.assign(**chosen)
        partner_images = read_rows(images_npy, samples_csv, list(chosen["partner"]))
        partners = frame.load_images(partner_images, device)
        logits = predict_logits(model, loaded, partners, frame, settings)
    masks = logits >= 0 if crf is None else refine(images, expit(logits), crf)
    write_predictions(masks, table, predictions_npy, predictions_csv)


def load_network(
    model_safetensors: str | Path, run_json: str | Path, device: torch.device
) -> tuple[nn.Module, TrainingSettings]:
    """Return a run's trained network, ready to predict, and its settings.

    Raises:
        DataError: if the run is of another version, or the weights truncated or another network's.
    """
    try:
        settings = TrainingSettings(**json.loads(Path(run_json).read_text())["settings"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{run_json}: not the description of a run of this version ({error}). Train again."
        ) from error
    model = build_model(
        settings.model,
        num_classes=settings.num_classes,
        encoder=settings.encoder,
        options=settings.network,
    )
    try:
        model.load_state_dict(load_file(model_safetensors))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{model_safetensors}: not the weights of {settings.model} "
            f"({str(error)[:300]}). Delete it and train again."
        ) from error
    if device.type == "cpu":
        speed_up_on_cpu(model)
    return model.to(device).eval(), settings


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    images: torch.Tensor,
    partners: torch.Tensor | None,
    frame: InputFrame,
    settings: TrainingSettings,
) -> np.ndarray:
    """Segment (N, 3, input, input) uint8 images; return (N, side, side) float32 logits."""
    rows = []
    batches = torch.arange(len(images), device=images.device).split(EVALUATION_BATCH)
    for index in progress(batches, total=len(batches), what="batches predicted"):
        beside = None if partners is None else partners[index]
        logits, _ = network_outputs(model, images[index], frame, settings, beside)
        rows.append(frame.patch_logits(logits).cpu().numpy())
    return np.concatenate(rows)


@torch.inference_mode()
def predict_prompted(
    model: nn.Module, images: np.ndarray, prompts: torch.Tensor, settings: TrainingSettings
) -> np.ndarray:
    """Segment images given their marks, as the mean over eight views of each crop.

    Args:
        model: a network that sees the mark.
        images: (N, H, W, 3) uint8.
        prompts: (N, 5) ellipses on the device, px.
        settings: the training's.

    Returns:
        (N, H, W) float32 logits in the images' own pixels.
    """
    assert settings.prompt is not None
    margin = PromptSettings(**settings.prompt).margin
    rows = []
    batches = torch.arange(len(images)).split(EVALUATION_BATCH)
    for index in progress(batches, total=len(batches), what="batches predicted"):
        batch = torch.from_numpy(images[index.numpy()]).to(prompts.device).permute(0, 3, 1, 2)
        given = prompts[index.to(prompts.device)]
        inputs, _ = plain_inputs(batch, given, settings.input_px, margin)
        logits = crop_logits(model, inputs, settings)
        merged = to_source_logits(logits, inputs[:, 3:4], given, margin, images.shape[1:3])
        rows.append(merged.cpu().numpy())
    return np.concatenate(rows)


def crop_logits(model: nn.Module, inputs: torch.Tensor, settings: TrainingSettings) -> torch.Tensor:
    """Return the mean of a network's logits over eight views of each crop, (B, 1, input, input).

    Args:
        model: a network that sees the mark.
        inputs: (B, 6, input, input), of `weaklesion.training.prompts.plain_inputs`.
        settings: the training's.
    """
    seen = [prompted_logits(model, view, settings) for view in views(inputs).unbind(1)]
    return mean_of_views(torch.stack(seen, dim=1))

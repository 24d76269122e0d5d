"""Patches and targets as nnU-Net's data set, planned and preprocessed by its own command."""

import json
import logging
from pathlib import Path

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.errors import DataError
from weaklesion.nnunet.cases import (
    DATASET,
    ENDING,
    case_of,
    is_grey,
    write_images,
    write_masks,
)
from weaklesion.nnunet.program import run_program
from weaklesion.support.files import file_digest, write_json, written_whole
from weaklesion.training.seen_samples import describe_sizes

logger = logging.getLogger(__name__)

CONFIGURATION = "2d"
INPUTS = "inputs.json"  # digests, numbers and sizes of what was prepared


def prepare_nnunet(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    target_npy: str | Path,
    target_ids_csv: str | Path,
    is_ct: bool,
    prepared_dir: str | Path,
    threads: int = 1,
) -> None:
    """Export the train and val splits, and let nnU-Net plan its network for them.

    Samples are joined by id. The test split is not read. Images with three equal channels are
    exported as one. nnU-Net normalises levels of CT by the statistics of all lesions, and others
    image by image.

    Args:
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        target_npy: masks to learn, (M, side, side) of 0 and 1.
        target_ids_csv: `id` of each target.
        is_ct: whether levels are Hounsfield units in a window.
        prepared_dir: written: a folder with `raw`, `preprocessed` and `inputs.json`.
        threads: processes of nnU-Net.

    Raises:
        DataError: if nnU-Net is not installed or fails, a split has fewer than two samples, or a
            target is missing or not a mask.
    """
    inputs = {"images": images_npy, "samples": samples_csv}
    inputs |= {"target": target_npy, "target_ids": target_ids_csv}
    splits = {name: sorted(split_ids(samples_csv, name)) for name in ("train", "val")}
    for name, members in splits.items():
        if len(members) < 2:
            raise DataError(
                f"{samples_csv}: the split {name} has {len(members)} samples; two are needed."
            )
    ids = splits["train"] + splits["val"]
    images = read_rows(images_npy, samples_csv, ids)
    grey = is_grey(images)
    with written_whole(prepared_dir) as folder:
        raw = folder / "raw" / DATASET
        write_images(raw / "imagesTr", ids, images, grey=grey)
        write_masks(raw / "labelsTr", ids, read_rows(target_npy, target_ids_csv, ids))
        channels = ["CT" if is_ct else "level"] * (1 if grey else 3)
        write_json(raw / "dataset.json", _description(channels, len(ids)))
        _plan(folder, threads)
        cases = {name: [case_of(each) for each in members] for name, members in splits.items()}
        splits_json = folder / "preprocessed" / DATASET / "splits_final.json"
        splits_json.write_text(json.dumps([cases], indent=1))
        digests = {role: file_digest(path) for role, path in inputs.items()}
        counts = {name: len(members) for name, members in splits.items()}
        seen = describe_sizes(samples_csv, splits["train"], images.shape[1:3])
        write_json(folder / INPUTS, {"sha256": digests, "num_samples": counts, "seen": seen})
    logger.info("%d training and %d validation samples for nnU-Net", counts["train"], counts["val"])


def _plan(folder: Path, threads: int) -> None:
    """Let nnU-Net check the data set, plan its 2-D network and preprocess the images."""
    run_program(
        "nnUNetv2_plan_and_preprocess",
        *("-d", "1", "-c", CONFIGURATION, "--verify_dataset_integrity"),
        *("-np", str(threads), "-npfp", str(threads)),
        folders={name: folder / name for name in ("raw", "preprocessed", "results")},
        threads=threads,
    )


def _description(channels: list[str], num_cases: int) -> dict[str, object]:
    """Return nnU-Net's `dataset.json`; the names of the channels decide their normalisation."""
    return {
        "channel_names": {str(place): name for place, name in enumerate(channels)},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": num_cases,
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }

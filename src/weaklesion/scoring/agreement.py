"""Agreement of each supervision with the dense reference, before any network is trained."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion import metrics
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.support.files import written_whole
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)


def measure_agreement(
    *,
    reference_npy: str | Path,
    samples_csv: str | Path,
    target_npys: Sequence[str | Path],
    target_ids_csv: str | Path,
    agreement_csv: str | Path,
    dataset: str,
    protocol: str,
) -> None:
    """Compare the targets of all samples, of every split, with the dense reference.

    Args:
        reference_npy: (N, H, W) uint8 of 0 and 1.
        samples_csv: the N samples.
        target_npys: (M, H, W) uint8 of 0 and 1 each; a file is named after its target.
        target_ids_csv: `id` of each of the M rows.
        agreement_csv: written: `dataset, protocol, target, id, dice, hd95, area_ratio`; px.
        dataset: name for the table.
        protocol: name for the table.
    """
    ids = list(read_samples(samples_csv).index)
    references = read_rows(reference_npy, samples_csv, ids)
    tables = []
    for path in target_npys:
        name = Path(path).stem
        masks = read_rows(path, target_ids_csv, ids)
        rows = [
            (metrics.dice(ref, mask), metrics.hausdorff_percentile(ref, mask, 95.0),
             float(mask.sum() / ref.sum()) if ref.any() else np.nan)
            for ref, mask in progress(
                zip(references, masks, strict=True), total=len(ids), what=f"{name} compared")
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=["dice", "hd95", "area_ratio"])
        for position, (column, values) in enumerate(
            (("dataset", dataset), ("protocol", protocol), ("target", name), ("id", ids))
        ):
            table.insert(position, column, values)
        tables.append(table)
        logger.info("%s: mean Dice %.4f", name, table["dice"].mean())
    with written_whole(agreement_csv) as temporary:
        pd.concat(tables).to_csv(temporary, index=False, float_format="%.6g")

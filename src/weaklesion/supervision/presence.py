"""Classes of the second task by presence of foreground."""

import logging
from pathlib import Path

import numpy as np

from weaklesion.data.samples import read_rows, read_samples
from weaklesion.supervision.class_table import write_classes

logger = logging.getLogger(__name__)


def label_presence(
    *, samples_csv: str | Path, target_npy: str | Path, labels_csv: str | Path
) -> None:
    """Label each sample by presence of foreground in its reference (Moseley et al., section 2).

    Args:
        samples_csv: the N samples.
        target_npy: their references, (N, H, W) uint8 of 0 and 1.
        labels_csv: written: see `weaklesion.supervision.class_table`; 1 with foreground and 0
            without, under every flip.
    """
    ids = list(read_samples(samples_csv).index)
    present = np.array([int(mask.any()) for mask in read_rows(target_npy, samples_csv, ids)])
    write_classes(labels_csv, ids, present)
    logger.info("%d of %d samples with foreground", present.sum(), len(present))

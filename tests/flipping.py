"""Samples whose marks are flipped: what a training that flips images shows to its network."""

import pandas as pd

from weaklesion.flips import FLIPS
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.supervision.classes import cluster_lesions
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.support.files import read_array


def name_of_copy(sample_id, column):
    """Name of a sample's copy under the flip of a column of classes."""
    return sample_id if column == "cluster" else f"{sample_id} {column}"


def cluster_with_flipped_copies(patches, folder, **options):
    """Cluster samples together with copies of their marks under each flip; return the classes.

    Copies are test samples, so that the centres are fitted to the marks as they are. Nothing of the
    package flips anything here: a copy's `cluster` is the class of the flipped mark.
    """
    height, width = read_array(patches / "images.npy").shape[1:3]
    table = pd.read_csv(patches / "samples.csv", dtype={"id": str})
    copies = []
    for column, (upside_down, left_right) in FLIPS.items():
        copy = table.assign(id=[name_of_copy(name, column) for name in table["id"]])
        for name in RECIST_COLUMNS:
            if left_right and name.endswith("_x"):
                copy[name] = width - 1 - copy[name]
            if upside_down and name.endswith("_y"):
                copy[name] = height - 1 - copy[name]
        copies.append(copy if column == "cluster" else copy.assign(split="test"))
    pd.concat(copies).to_csv(folder / "samples.csv", index=False)
    files = {
        "samples_csv": folder / "samples.csv",
        "images_npy": patches / "images.npy",
        "ellipses_csv": folder / "ellipses.csv",
    }
    draw_ellipses(target_npy=folder / "ellipse.npy", center="midpoint", outline_px=0.0, **files)
    cluster_lesions(
        clusters_csv=folder / "clusters.csv",
        quality_json=folder / "q.json",
        **{"k": 4, "fit_on": "train", "seed": 0} | options,
        **files,
    )
    return pd.read_csv(folder / "clusters.csv", dtype={"id": str}).set_index("id")

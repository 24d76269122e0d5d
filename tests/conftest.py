"""Shared fixtures: a phantom and its patches, made once; and real data where they are at hand."""

import os
from pathlib import Path

import pytest

from weaklesion.download import extract, fetch, read_manifest
from weaklesion.patches import PatchSettings, make_patches
from weaklesion.phantoms.ham10k import ARCHIVES, make_phantom

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("WEAKLESION_REAL_DATA", ROOT.parent / "shared" / "data"))

PATCH_SETTINGS = {
    "side_px": 120,
    "channel_order": "rgb",
    "image_resize": "area",
    "split": "group",
    "split_seed": 1,
    "limit": {},
}


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def real_ham10k():
    folder = REAL_DATA / "ham10000"
    if not (folder / "manifest.csv").is_file():
        pytest.skip("real HAM10000 archives are not at hand (WEAKLESION_REAL_DATA)")
    return folder


def unpack(manifest, folder):
    """Fetch and unpack the files of a manifest as the workflow does; return folders, metadata."""
    rows = read_manifest(manifest)
    for name in ARCHIVES:
        fetch(rows[name], folder / "archives" / name)
    zips = [name for name in ARCHIVES if name.endswith(".zip")]
    for name in zips:
        extract(folder / "archives" / name, folder / "extracted" / name)
    return [folder / "extracted" / name for name in zips], folder / "archives" / ARCHIVES[3]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Unpacked folders and metadata of a small phantom."""
    folder = tmp_path_factory.mktemp("phantom")
    make_phantom(folder=folder / "made", num_images=60, seed=3, width_px=120, height_px=90)
    return unpack(folder / "made" / "manifest.csv", folder)


@pytest.fixture(scope="session")
def patches(phantom, tmp_path_factory):
    """Folder of the phantom's patches."""
    folder = tmp_path_factory.mktemp("patches")
    dirs, metadata = phantom
    make_patches(
        source_dirs=dirs,
        metadata_csv=metadata,
        patches_dir=folder,
        settings=PatchSettings(**PATCH_SETTINGS | {"side_px": 64}),
    )
    return folder

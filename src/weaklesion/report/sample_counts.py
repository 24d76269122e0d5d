"""The approximate number of samples of a dataset, known before its files are downloaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaklesion.marks.files import read_lines
from weaklesion.study.protocols import Config, limits_of

LIVER_SLICES = {"train": 1664, "val": 298, "test": 787}  # Moseley et al., section 3
SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}  # if no source states other shares
DEEPLESION_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}  # of its official split
UNKNOWN_SIZE = 10_000


def split_samples(
    config: Config, dataset: str, published: Mapping[str, Any], folder: Path = Path()
) -> dict[str, int]:
    """Return the approximate number of samples of each split: its source's count, up to the limit.

    Args:
        config: the merged configuration.
        dataset: our name of the dataset.
        published: the published numbers.
        folder: the folder that the path of a table of marks is relative to.
    """
    definition = config["datasets"][dataset]
    limit = limits_of(config, dataset)
    counts = _counts(definition, published, folder)
    return {split: min(count, limit.get(split, count)) for split, count in counts.items()}


def _counts(
    definition: Mapping[str, Any], published: Mapping[str, Any], folder: Path
) -> dict[str, int]:
    """Return the number of samples of each split without a limit."""
    if "expected_samples" in definition:
        return _divide(definition["expected_samples"], SHARES)
    if definition["loader"] == "lits_liver":
        return LIVER_SLICES
    if "marks" in definition:
        return _divide(len(read_lines(folder / definition["marks"])[1]), SHARES)
    if "phantom" in definition:
        settings = definition["phantom"]
        sizes = (settings.get(key) for key in ("num_images", "num_volumes", "num_series"))
        size = next(size for size in sizes if size)
        return _divide(size * settings.get("num_slices", 1), SHARES)
    paper_counts = published["dataset_counts_as_stated"]
    name = definition.get("published", "")
    if name == "LiTS":
        return {split: paper_counts[name][split]["images"] for split in SHARES}
    if name == "HAM10K":
        percent = paper_counts[name]["split_percent"]
        shares = {split: percent[split] / 100 for split in SHARES}
        return _divide(paper_counts[name]["images"], shares)
    if name == "NIH_DeepLesion":
        return _divide(paper_counts[name]["ct_images"], DEEPLESION_SHARES)
    return _divide(UNKNOWN_SIZE, SHARES)


def _divide(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide samples among the splits; training receives the remainder."""
    counts = {split: int(total * share) for split, share in shares.items()}
    counts["train"] += total - sum(counts.values())
    return counts

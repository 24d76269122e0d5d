"""What one arm lacks against others in Dice, and which images account for it."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from weaklesion import metrics
from weaklesion.data.samples import read_rows, read_samples, split_ids
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.scores import read_scores
from weaklesion.scoring.statistics import compare, resolve_undefined, with_shared_seeds

logger = logging.getLogger(__name__)

QUARTILES = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
LARGEST_GAPS = "largest gaps"
LARGEST = (0.01, 0.05, 0.10, 0.25, 0.50)
PAIR = ["dataset", "protocol", "arm", "against"]


def describe_samples(
    *,
    images_npy: str | Path,
    reference_npy: str | Path,
    reference_ids_csv: str | Path,
    ellipse_npy: str | Path,
    ellipse_ids_csv: str | Path,
    samples_csv: str | Path,
    traits_csv: str | Path,
) -> None:
    """Measure what may make a test image hard.

    Args:
        images_npy: (N, H, W, 3) uint8, all patches.
        reference_npy: (M, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each of the M.
        ellipse_npy: (L, H, W) uint8 of 0 and 1.
        ellipse_ids_csv: `id` of each of the L.
        samples_csv: the N samples.
        traits_csv: written, a row a test sample: `id`; `area`, the reference's part of the patch;
            `ellipse_dice`, of the mark's ellipse against the reference; `contrast`, the distance of
            the mean colours inside the reference and in a ring around it as wide as a quarter of
            its equivalent diameter, in grey levels (nan where the ring is empty); `at_border`,
            whether the reference reaches the patch's border; `in_training`, whether the training
            split has a sample of the same group.
    """
    ids = split_ids(samples_csv, "test")
    samples = read_samples(samples_csv)
    trained_on = set(samples.loc[samples["split"] == "train", "group"])
    rows = zip(
        ids,
        read_rows(images_npy, samples_csv, ids),
        read_rows(reference_npy, reference_ids_csv, ids),
        read_rows(ellipse_npy, ellipse_ids_csv, ids),
        strict=True,
    )
    traits = pd.DataFrame(
        {
            "id": name,
            "area": float(reference.mean()),
            "ellipse_dice": metrics.dice(reference, ellipse),
            "contrast": contrast(image, reference),
            "at_border": _at_border(reference),
            "in_training": samples.loc[name, "group"] in trained_on,
        }
        for name, image, reference, ellipse in rows
    )
    write_table(traits_csv, traits)
    logger.info("%d test samples described", len(traits))


def contrast(image: np.ndarray, reference: np.ndarray) -> float:
    """Return how far the mean colours inside a mask and in a ring around it are apart.

    Args:
        image: (H, W, 3) uint8.
        reference: (H, W) uint8 of 0 and 1.

    Returns:
        Euclidean distance, grey levels; nan where the mask or the ring is empty.
    """
    inside = reference > 0
    width = max(1, round(math.sqrt(inside.sum() / math.pi) / 2))  # a quarter of the diameter
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    ring = (cv2.dilate(reference, kernel) > 0) & ~inside
    if not inside.any() or not ring.any():
        return math.nan
    return float(np.linalg.norm(image[inside].mean(axis=0) - image[ring].mean(axis=0)))


def _at_border(reference: np.ndarray) -> bool:
    edges = (reference[0], reference[-1], reference[:, 0], reference[:, -1])
    return any(edge.any() for edge in edges)


def tabulate_gap(
    *,
    runs: Sequence[Mapping[str, Any]],
    traits: Sequence[Mapping[str, str]],
    arms: Sequence[str],
    against: Sequence[str],
    undefined: Mapping[str, str],
    title: str,
    table_csv: str | Path,
    samples_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate what arms lack against others in Dice: over all images, and by kind of image.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        traits: dataset, protocol, and the path `traits` of a file of `describe_samples`.
        arms: arms whose gap is asked for.
        against: arms that they are compared with; over the seeds that both have.
        undefined: protocol to what an empty prediction counts as.
        title: the page's title.
        table_csv: written: a row a kind of image; Dice in percent, `gap` is the other arm's minus
            the arm's, and `share_of_gap` the part of the whole gap that these images carry, in
            percent (above 100 or below 0 where the arm is ahead on others).
        samples_csv: written: a row an image, its gap a mean over seeds.
        table_html: written: the first for reading, with the images that lose most.
    """
    scores = read_scores([run["scores"] for run in runs], runs, ["dice"])
    known = {(row["dataset"], row["protocol"]): row["traits"] for row in traits}
    rows, images = [], []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        resolved = resolve_undefined(block, undefined[str(protocol)])  # type: ignore[arg-type]
        described = pd.read_csv(known[(str(dataset), str(protocol))], dtype={"id": str})
        for arm in arms:
            for other in against:
                if arm == other:
                    continue
                ours, theirs = with_shared_seeds(
                    *(resolved[resolved["arm"] == name] for name in (arm, other))
                )
                pair = dict(zip(PAIR, (str(dataset), str(protocol), arm, other), strict=True))
                gaps = image_gaps(ours, theirs, described)
                images.append(gaps.assign(**pair))
                for kind, ids in strata(gaps):
                    largest = kind["stratum"] == LARGEST_GAPS
                    row = _row(ours, theirs, gaps, ids, chosen_by_gap=largest)
                    rows.append(pair | row | kind)
    table, by_image = pd.DataFrame(rows), pd.concat(images, ignore_index=True)
    front = [*PAIR, "stratum", "value"]
    table = table[[*front, *table.columns.drop(front)]]
    by_image = by_image[[*PAIR, *by_image.columns.drop(PAIR)]]
    for path, content in ((table_csv, table), (samples_csv, by_image)):
        write_table(path, content)
    blocks = [
        {
            **dict(zip(PAIR, pair, strict=True)),
            "rows": rows.to_dict("records"),
            "worst": _worst(by_image, pair),  # type: ignore[arg-type]
        }
        for pair, rows in table.groupby(PAIR, sort=False)
    ]
    write_page(table_html, "gap.html", title=title, blocks=blocks)
    logger.info("%d gaps over %d kinds of images", len(blocks), len(table))


def image_gaps(ours: pd.DataFrame, theirs: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Return each image's Dice under two arms and the gap, percent, beside its traits.

    Args:
        ours: columns `id`, `seed`, `value`, of the arm.
        theirs: the same of the arm that it is compared with.
        traits: of `describe_samples`.

    Returns:
        A row an image, the largest gap first.
    """
    means = pd.DataFrame(
        {
            "dice": 100 * ours.groupby("id")["value"].mean(),
            "dice_against": 100 * theirs.groupby("id")["value"].mean(),
        }
    )
    gaps = means.assign(gap=means["dice_against"] - means["dice"]).reset_index()
    joined = gaps.merge(traits, on="id", how="left", validate="1:1")
    return joined.sort_values("gap", ascending=False, kind="stable", ignore_index=True)


def strata(gaps: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.Series]]:
    """Yield kinds of images: all, quarters by each trait, yes and no, and those that lose most.

    Args:
        gaps: of `image_gaps`.

    Yields:
        `stratum` and `value` in words, and the ids. A kind without images is left out, and so is a
        trait that all images share.
    """
    yield {"stratum": "all images", "value": ""}, gaps["id"]
    for trait in ("area", "ellipse_dice", "contrast"):
        if gaps[trait].nunique() < 2:
            continue
        by_id = gaps.sort_values("id")[trait]  # so that ties do not go by the gap
        ranks = by_id.rank(method="first", pct=True).reindex(gaps.index)
        quarter = np.ceil(4 * ranks) - 1  # nan stays nan: in no quarter
        for number, name in enumerate(QUARTILES):
            if (quarter == number).any():
                yield {"stratum": trait, "value": name}, gaps.loc[quarter == number, "id"]
    for trait in ("at_border", "in_training"):
        if gaps[trait].any() and not gaps[trait].all():
            for value in (True, False):
                kind = {"stratum": trait, "value": "yes" if value else "no"}
                yield kind, gaps.loc[gaps[trait] == value, "id"]
    for part in LARGEST:
        number = math.ceil(part * len(gaps))
        yield {"stratum": LARGEST_GAPS, "value": f"{100 * part:g} %"}, gaps["id"].iloc[:number]


def _row(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    gaps: pd.DataFrame,
    ids: pd.Series,
    *,
    chosen_by_gap: bool,
) -> dict[str, Any]:
    """Return the gap over some images, with its interval; none of images chosen by their gap."""
    found = compare(theirs[theirs["id"].isin(ids)], ours[ours["id"].isin(ids)])
    if chosen_by_gap:
        found = replace(found, ci_low=math.nan, ci_high=math.nan, unknown="chosen by the gap")
    here = gaps[gaps["id"].isin(ids)]
    total = gaps["gap"].sum()
    return {
        "n_samples": len(here),
        "n_groups": found.n_groups,
        "n_seeds": found.n_seeds,
        "dice": here["dice"].mean(),
        "dice_against": here["dice_against"].mean(),
        "gap": 100 * found.difference,
        "ci_low": 100 * found.ci_low,
        "ci_high": 100 * found.ci_high,
        "unknown": found.unknown,
        "share_of_samples": 100 * len(here) / len(gaps),
        "share_of_gap": 100 * here["gap"].sum() / total if total else math.nan,
    }


def _worst(by_image: pd.DataFrame, pair: Sequence[str], count: int = 20) -> list[dict[Any, Any]]:
    of_pair = by_image[(by_image[PAIR] == list(pair)).all(axis=1)]
    return of_pair.head(count).to_dict("records")

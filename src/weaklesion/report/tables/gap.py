"""By how much one arm's Dice is below another's, and which images account for the gap."""

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
from weaklesion.report.tables.cells import difference_cells
from weaklesion.report.tables.epochs import comparable, epochs_by_block, epochs_in_words
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.report.traits import WORDS
from weaklesion.scoring.chance import ROUNDING
from weaklesion.scoring.pairs import pair
from weaklesion.scoring.statistics import compare, resolve_undefined, with_shared_seeds
from weaklesion.study.labels import Labels

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
    """Measure properties that may make a test image hard.

    Args:
        images_npy: (N, H, W, 3) uint8, all patches.
        reference_npy: (M, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each of the M.
        ellipse_npy: (L, H, W) uint8 of 0 and 1.
        ellipse_ids_csv: `id` of each of the L.
        samples_csv: the N samples.
        traits_csv: written: one row per test sample: `id`; `area`, the reference's part of the
            patch; `ellipse_dice`, the Dice of the mark's ellipse against the reference; `contrast`,
            the distance of the mean colours inside the reference and in a ring around it as wide as
            a quarter of its equivalent diameter, in grey levels (nan where the ring is empty);
            `at_border`, whether the reference reaches the patch's border; `in_training`, whether
            the training split has a sample of the same group.
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
    logger.info("traits of %d test samples", len(traits))


def contrast(image: np.ndarray, reference: np.ndarray) -> float:
    """Return the distance of the mean colours inside a mask and in a ring around it.

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
    trained: Sequence[Mapping[str, Any]],
    traits: Sequence[Mapping[str, str]],
    pairs: Sequence[Sequence[str]],
    undefined: Mapping[str, str],
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    samples_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the gaps in Dice between arms: over all images, and by kind of image.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        trained: dataset, protocol, arm, and the path `run` of each training.
        traits: dataset, protocol, and the path `traits` of a file of `describe_samples`.
        pairs: an arm whose gap is measured, and one that it is compared with, over the seeds that
            both have.
        undefined: protocol to the value that an empty prediction counts as.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per pair of arms and kind of image; Dice in percent. `gap` is
            the other arm's Dice minus the arm's, and `share_of_gap` the part of the whole gap that
            these images carry, in percent (above 100 or below 0 where the arm is ahead on others).
        samples_csv: written: one row per pair of arms and image; the gap is a mean over seeds.
        table_html: written: the content of `table_csv` for reading, with the largest gaps.
    """
    scores = read_scores([run["scores"] for run in runs], runs, ["dice"])
    traits_csvs = {(row["dataset"], row["protocol"]): row["traits"] for row in traits}
    rows: list[dict[str, Any]] = []
    images = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        key = str(dataset), str(protocol)
        resolved = resolve_undefined(block, undefined[key[1]])  # type: ignore[arg-type]
        block_traits = pd.read_csv(traits_csvs[key], dtype={"id": str})
        for arm, other in pairs:
            ours, theirs = with_shared_seeds(
                *(resolved[resolved["arm"] == name] for name in (arm, other))
            )
            place = dict(zip(PAIR, (*key, arm, other), strict=True))
            gaps = image_gaps(ours, theirs, block_traits)
            images.append(gaps.assign(**place))
            rows += [place | row for row in _rows_by_kind(ours, theirs, gaps)]
    table, by_image = pd.DataFrame(rows), pd.concat(images, ignore_index=True)
    by_image = by_image[[*PAIR, *by_image.columns.drop(PAIR)]]
    write_table(table_csv, table)
    write_table(samples_csv, by_image)
    epochs = epochs_by_block(trained)
    blocks = []
    for names, of_pair in table.groupby(PAIR, sort=False):
        dataset, protocol, arm, other = map(str, names)
        of_block = epochs.get((dataset, protocol), {})
        of_both = {name: of_block[name] for name in (arm, other) if name in of_block}
        blocks.append(
            {
                **dict(zip(PAIR, names, strict=True)),
                "rows": of_pair.to_dict("records"),
                "worst": _worst(by_image, names),  # type: ignore[arg-type]
                "epochs": epochs_in_words(of_both, other, labels),
                "comparable": comparable(of_block.get(arm), of_block.get(other)),
            }
        )
    write_page(table_html, "gap.html", labels, title=title, blocks=blocks, words=WORDS)
    logger.info("%d gaps over %d kinds of images", len(blocks), len(table))


def image_gaps(ours: pd.DataFrame, theirs: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Return each image's Dice under two arms and its gap, percent, beside its traits.

    A value that one of the arms lacks is left out of both.

    Args:
        ours: columns `id`, `seed`, `value`, of the arm.
        theirs: the same columns of the other arm.
        traits: table of `describe_samples`.

    Returns:
        One row per image, the largest gap first.
    """
    both = pair(ours, theirs)
    means = pd.DataFrame(
        {"dice": 100 * both.ours.mean(axis=1), "dice_against": 100 * both.theirs.mean(axis=1)}
    )
    gaps = means.assign(gap=means["dice_against"] - means["dice"]).reset_index()
    joined = gaps.merge(traits, on="id", how="left", validate="1:1")
    return joined.sort_values("gap", ascending=False, kind="stable", ignore_index=True)


def strata(gaps: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.Series]]:
    """Yield kinds of images: all, quarters by each trait, yes and no, and those that lose most.

    Args:
        gaps: table of `image_gaps`.

    Yields:
        `stratum` and `value` in words, and the ids. Kinds without images, and traits that all
        images share, are left out.
    """
    yield {"stratum": "all images", "value": ""}, gaps["id"]
    for trait in ("area", "ellipse_dice", "contrast"):
        if gaps[trait].nunique() < 2:
            continue
        by_id = gaps.sort_values("id")[trait]  # so that the gap does not order ties
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


def _rows_by_kind(
    ours: pd.DataFrame, theirs: pd.DataFrame, gaps: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """Yield one row per kind of image."""
    for kind, ids in strata(gaps):
        chosen_by_gap = kind["stratum"] == LARGEST_GAPS
        yield kind | _row(ours, theirs, gaps, ids, chosen_by_gap=chosen_by_gap)


def _row(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    gaps: pd.DataFrame,
    ids: pd.Series,
    *,
    chosen_by_gap: bool,
) -> dict[str, Any]:
    """Return the gap over some images; images chosen by their gap have no interval."""
    comparison = compare(theirs[theirs["id"].isin(ids)], ours[ours["id"].isin(ids)])
    if chosen_by_gap:
        comparison = replace(
            comparison, ci_low=math.nan, ci_high=math.nan, unknown="chosen by the gap"
        )
    stratum = gaps[gaps["id"].isin(ids)]
    total = gaps["gap"].sum()
    cancels = abs(total) <= ROUNDING * gaps["gap"].abs().sum()
    return {
        "n_samples": len(stratum),
        "n_groups": comparison.n_groups,
        "n_seeds": comparison.n_seeds,
        "dice": stratum["dice"].mean(),
        "dice_against": stratum["dice_against"].mean(),
        **difference_cells(comparison, "dice", name="gap", omit=("p_value", "detectable")),
        "share_of_samples": 100 * len(stratum) / len(gaps),
        "share_of_gap": math.nan if cancels else 100 * stratum["gap"].sum() / total,
    }


def _worst(by_image: pd.DataFrame, pair: Sequence[str], count: int = 20) -> list[dict[Any, Any]]:
    of_pair = by_image[(by_image[PAIR] == list(pair)).all(axis=1)]
    return of_pair.head(count).to_dict("records")

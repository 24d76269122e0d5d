"""Claims of the three papers: the arm that is better, its baseline, the place and the size.

The size of a claim is the change that the paper prints for its dataset, in percent of the baseline,
read from the published numbers. Where a paper's own table contradicts its text, the size is 0 and
`contradicted` has the ID of the inconsistency (docs/reference/audit.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from weaklesion.study.published import printed_cells

Published = Mapping[str, Any]
DEEPLESION, LITS, HAM10K, LIVER = "NIH_DeepLesion", "LiTS", "HAM10K", "LiTS_liver"
CHU, AGARWAL, MOSELEY = "Chu et al. 2021", "Agarwal et al. 2020", "Moseley et al."
COSEGMENTATION = "co-segmentation"  # stands for the arms of `cosegmentation_arms`
LARGER_IS_BETTER = ("IoU", "Dice", "VS", "Recall", "Precision")
PRINTED_ARMS = {"a1": "A1", "a1l": "A1_L", "acoseg": "ACoseg", "acoseg_released": "ACoseg"}
SUPERVISION = {DEEPLESION: "table3", LITS: "table4", HAM10K: "table5"}
EQUAL_TIME_PERCENT = 10.0  # ours: the paper says "approximately the same"

Kind = Literal["metric", "hours", "equal hours", "parameters"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim: that an arm is better than another.

    Attributes:
        name: a short name.
        where: section of the paper.
        text: the claim, in our words.
        paper: the paper that makes it.
        kind: the quantity that is compared: a metric of the test split, hours of training, or
            parameters.
        datasets: the paper's datasets that the claim is about.
        arm: arm that the paper calls better or cheaper.
        baseline: arm or arms that it is compared with, or `COSEGMENTATION`. Among several arms, and
            among the variants that `~k` or `~alpha` stand for, the best one counts.
        column: column of the papers' tables in which the arm is better.
        table: table of the paper that prints both arms, by dataset if it differs; empty if no table
            does.
        stated: key of `headline_claims.abstract` with a size that the abstract states.
        primary: whether the claim belongs to the small family that is corrected separately.
        contradicted: ID of the inconsistency by dataset, where the paper's own table contradicts
            the claim.
    """

    name: str
    where: str
    text: str
    paper: str = CHU
    kind: Kind = "metric"
    datasets: Sequence[str] = (DEEPLESION, LITS, HAM10K)
    arm: str = "a1l"
    baseline: str | tuple[str, ...] = "a1"
    column: str = "Dice"
    table: str | Mapping[str, str] = "table1"
    stated: str = ""
    primary: bool = False
    contradicted: Mapping[str, str] = field(default_factory=dict)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Arms that the claim's arm is compared with."""
        return (self.baseline,) if isinstance(self.baseline, str) else self.baseline


def printed_means(claim: Claim, published: Published, dataset: str) -> tuple[float, float] | None:
    """Return the printed means of a claim's arm and of its best baseline; None if not printed.

    Args:
        claim: one that `expand_claims` returns.
        published: the file of published numbers.
        dataset: the paper's name of the dataset.
    """
    if claim.kind in ("hours", "equal hours"):
        hours = published["table2_training_gpu_hours"][dataset]
        names = [PRINTED_ARMS[arm] for arm in (claim.arm, claim.baselines[0])]
        known = all(name in hours for name in names)
        return (float(hours[names[0]]), float(hours[names[1]])) if known else None
    item = claim.table if isinstance(claim.table, str) else claim.table.get(dataset, "")
    cells = printed_cells(published, item, PRINTED_ARMS) if item else {}
    ours = cells.get((dataset, claim.arm, claim.column))
    theirs = [cells.get((dataset, arm, claim.column)) for arm in claim.baselines]
    printed = [cell[0] for cell in theirs if cell is not None]
    if ours is None or not printed:
        return None
    return ours[0], (max if claim.column in LARGER_IS_BETTER else min)(printed)


def claimed_percent(claim: Claim, published: Published, dataset: str) -> float:
    """Return the claimed improvement in percent of the baseline; 0 if no size is printed.

    A negative value is a loss that the paper concedes. Fewer hours count as an improvement.

    Args:
        claim: one that `expand_claims` returns.
        published: the file of published numbers.
        dataset: the paper's name of the dataset.
    """
    if claim.stated:
        return float(published["headline_claims"]["abstract"][claim.stated])
    printed = printed_means(claim, published, dataset)
    if printed is None:
        return 0.0
    larger = claim.kind == "metric" and claim.column in LARGER_IS_BETTER
    change = 100 * (printed[0] / printed[1] - 1) * (1 if larger else -1)
    return max(change, 0.0) if dataset in claim.contradicted else change


def cosegmentation_arms(protocol_is_released: bool) -> tuple[str, ...]:
    """Return the arms that the paper's ACoseg stands for.

    Under `released` this is the network of the released code; elsewhere it is that network and the
    cited method.
    """
    return ("acoseg_released",) if protocol_is_released else ("acoseg", "acoseg_released")


def expand_claims(claims: Sequence[Claim], protocol_is_released: bool) -> Iterator[Claim]:
    """Yield each claim, once per arm that co-segmentation stands for.

    If these are several, the name of the claim ends with the arm.
    """
    arms = cosegmentation_arms(protocol_is_released)
    for claim in claims:
        if COSEGMENTATION not in (claim.arm, *claim.baselines):
            yield claim
            continue
        for arm in arms:
            baselines = tuple(arm if name == COSEGMENTATION else name for name in claim.baselines)
            yield replace(
                claim,
                name=claim.name if len(arms) == 1 else f"{claim.name} ({arm})",
                arm=arm if claim.arm == COSEGMENTATION else claim.arm,
                baseline=baselines if len(baselines) > 1 else baselines[0],
            )


def claimed_arms(claims: Sequence[Claim]) -> list[str]:
    """Return all arms that the claims need; `arm~k` and `arm~alpha` stand for variants."""
    return list(
        dict.fromkeys(
            arm
            for released in (True, False)
            for claim in expand_claims(claims, released)
            for arm in (claim.arm, *claim.baselines)
        )
    )

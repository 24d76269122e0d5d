"""The paper's claims, each with the arms, the column and the size that it is about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Published = Mapping[str, Any]
DEEPLESION, LITS, HAM10K = "NIH_DeepLesion", "LiTS", "HAM10K"
COSEG = ("acoseg", "acoseg_released")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the paper: that an arm is better than another.

    Attributes:
        name: a short name.
        where: section of the paper.
        text: the claim, in our words.
        datasets: the paper's datasets that it is about.
        arm: arm that is said to be better, or cheaper.
        baseline: arm that it is compared with; of several, the first that was run. With `~k` or
            `~alpha`: its best variant with another K or alpha.
        column: column of Table 1 in which it is better; or `hours`, or `parameters`.
        size: reads the smallest claimed change, in percent of the baseline, from the published
            numbers and the dataset's name. A negative one is the largest loss that is granted.
    """

    name: str
    where: str
    text: str
    datasets: Sequence[str] = (DEEPLESION, LITS, HAM10K)
    arm: str = "a1l"
    baseline: Sequence[str] = ("a1",)
    column: str = "Dice"
    size: Callable[[Published, str], float] = lambda published, dataset: 0.0


def _section5(key: str) -> Callable[[Published, str], float]:
    """Read the lower end of a range such as "1-3" of section 5."""
    return lambda published, dataset: float(
        str(published["headline_claims"]["section5"][key]).split("-")[0]
    )


def _weak_loss(published: Published, dataset: str) -> float:
    """Read from Table 6 what ellipses lose against dense supervision, in percent."""
    dice = published["table6_supervision_dice"][dataset]
    return 100 * (dice["Ellipse"] / dice["FullySupervised"] - 1)


CLAIMS = (
    Claim(
        name="Dice, headline",
        where="abstract",
        text="Joint training improves Dice by the headline's size (reached against ACoseg on"
        " DeepLesion only, P1).",
        datasets=(DEEPLESION,),
        baseline=COSEG,
        size=lambda published, dataset: float(
            published["headline_claims"]["abstract"]["dice_improvement_pct"]
        ),
    ),
    Claim(
        name="AVD, headline",
        where="abstract",
        text="Joint training improves the surface distance by the headline's size.",
        datasets=(DEEPLESION,),
        column="AVD",
        size=lambda published, dataset: float(
            published["headline_claims"]["abstract"]["avd_improvement_pct"]
        ),
    ),
    Claim(
        name="Dice against A1",
        where="section 5",
        text="The second task improves Dice over A1.",
        size=_section5("dice_vs_A1_pct"),
    ),
    Claim(
        name="Dice against ACoseg",
        where="section 5",
        text="A1+L improves Dice over co-segmentation on CT.",
        datasets=(DEEPLESION, LITS),
        baseline=COSEG,
        size=_section5("dice_vs_ACoseg_CT_pct"),
    ),
    Claim(
        name="AVD against A1",
        where="section 5",
        text="The second task improves the surface distance over A1.",
        column="AVD",
        size=_section5("avd_vs_A1_pct"),
    ),
    Claim(
        name="Centre against A1",
        where="section 5",
        text="The second task improves the centre error over A1 (its size is an upper bound).",
        column="CenterError",
    ),
    Claim(
        name="Perimeter against A1",
        where="section 5",
        text="The second task improves the perimeter error over A1 (its size is an upper bound).",
        column="PerimeterError",
    ),
    Claim(
        name="ACoseg against A1",
        where="section 5",
        text="Co-segmentation performs better than A1 (which the paper's Table 1 contradicts on"
        " DeepLesion, P6).",
        arm="acoseg",
    ),
    Claim(
        name="Training time",
        where="section 5",
        text="A1+L takes less training time than co-segmentation.",
        baseline=("acoseg_released", "acoseg"),
        column="hours",
        size=_section5("time_saved_pct"),
    ),
    Claim(
        name="Best K",
        where="section 4, Figure 2",
        text="Dice is highest at the chosen number of clusters.",
        baseline=("a1l~k",),
    ),
    *(
        Claim(
            name=f"{column} with GrabCut",
            where="section 7.2, Tables 3 to 5",
            text="The second task helps with GrabCut's masks as well.",
            arm="a1l_grabcut",
            baseline=("a1_grabcut",),
            column=column,
        )
        for column in ("IoU", "Dice", "CenterError")
    ),
    Claim(
        name="GrabCut on DeepLesion",
        where="section 7.2, Table 3",
        text="On DeepLesion A1+L is best with GrabCut's masks by Dice.",
        datasets=(DEEPLESION,),
        arm="a1l_grabcut",
        baseline=("a1l",),
    ),
    Claim(
        name="Centre with ellipses",
        where="section 7.2, Table 3",
        text="On DeepLesion A1+L finds the centre better with ellipses than with GrabCut's masks.",
        datasets=(DEEPLESION,),
        baseline=("a1l_grabcut",),
        column="CenterError",
    ),
    Claim(
        name="Ellipses against GrabCut",
        where="section 7.2, Tables 4 and 5",
        text="On LiTS and HAM10K A1+L is better with ellipses than with GrabCut's masks.",
        datasets=(LITS, HAM10K),
        baseline=("a1l_grabcut",),
    ),
    Claim(
        name="Loss by weak supervision",
        where="section 7.3, Table 6",
        text="Ellipses lose no more Dice against dense masks than Table 6 shows, about 3 %.",
        datasets=(DEEPLESION, HAM10K),
        baseline=("a1l_dense",),
        size=_weak_loss,
    ),
    Claim(
        name="Ellipses against dense masks",
        where="section 7.3, Table 6",
        text="On LiTS training on ellipses is better than on dense masks.",
        datasets=(LITS,),
        baseline=("a1l_dense",),
    ),
    Claim(
        name="Backbone",
        where="section 7.4, Table 7",
        text="DeepLabV3+ is better than U-Net.",
        arm="a1",
        baseline=("unet",),
    ),
    Claim(
        name="Best alpha",
        where="section 7.5, Figure 5",
        text="Dice is highest at the chosen weight of the segmentation loss.",
        datasets=(HAM10K,),
        baseline=("a1l~alpha",),
    ),
    *(
        Claim(
            name=f"Parameters of {arm}",
            where="section 7.6",
            text="The network has as many parameters as printed (compared exactly).",
            arm=arm,
            baseline=(),
            column="parameters",
        )
        for arm in ("a1", "a1l", "acoseg_released")
    ),
)

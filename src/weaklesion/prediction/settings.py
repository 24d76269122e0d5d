"""Everything that decides a prediction, besides the network and the files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weaklesion.clusters import Encoding
from weaklesion.prediction.crf import CRFSettings
from weaklesion.pseudo_masks import ChannelOrder, RefinedSettings

Partner = Literal["nearest", "random", "itself"]


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """How masks are decided; each task reads its own settings.

    Attributes:
        splits: splits whose images get masks; others than `test` for networks that see the mark.
        crf: settings of the CRF that decides masks from probabilities, for networks that do not see
            the mark; None for probabilities of at least 0.5.
        partner: partner of each image in co-segmentation: `nearest`, a training sample of the
            cluster that the first prediction belongs to, or the training sample with the nearest
            embedding (`weaklesion.prediction.partners`); `random`, any training sample; or
            `itself`.
        encoding: encoding of the clusters' features.
        seed: seed of random partners.
        gate: least agreement with the mark, for networks that see it, or None
            (`weaklesion.prediction.gate.gated_mask`).
        consistent: whether masks are moved so that their ellipses are the marks' (the same).
        compare_ends: whether the gate compares the four ends of RECIST marks, whatever the network
            is shown: true of marks that are drawn, or measured as RECIST defines them.
        levels: how the image's own levels decide together with a network that sees the mark, whose
            logits take the place of the prior of pseudo-masks; None to let the network decide
            alone.
        channel_order: channel order of the patches, for their levels.
        sized: whether masks are cut where they are as large as the marks of such a network say
            (`weaklesion.prediction.sized`).
    """

    splits: Sequence[str] = ("test",)
    crf: CRFSettings | None = None
    partner: Partner = "nearest"
    encoding: Encoding = "raw"
    seed: int = 0
    gate: float | None = None
    consistent: bool = False
    compare_ends: bool = False
    levels: RefinedSettings | None = None
    channel_order: ChannelOrder = "rgb"
    sized: bool = False

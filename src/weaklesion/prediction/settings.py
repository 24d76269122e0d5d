"""Everything that decides a prediction, besides the network and the files."""

from dataclasses import dataclass
from typing import Literal

from weaklesion.clusters import Encoding
from weaklesion.prediction.crf import CRFSettings

Partner = Literal["nearest", "random", "itself"]


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """How masks are decided; each task reads its own settings.

    Attributes:
        crf: settings of the CRF that decides from the probabilities of networks that do not see
            the mark; None for at least 0.5.
        partner: of co-segmentation's images: `nearest`, a training sample of the cluster that the
            first prediction belongs to, or the one with the nearest embedding
            (`weaklesion.prediction.partners`); `random`, any training sample; or `itself`.
        encoding: of the clusters.
        seed: decides which partners are random.
        gate: of networks that see the mark, see `weaklesion.prediction.gate.gated_mask`.
        consistent: likewise.
    """

    crf: CRFSettings | None = None
    partner: Partner = "nearest"
    encoding: Encoding = "raw"
    seed: int = 0
    gate: float | None = None
    consistent: bool = False

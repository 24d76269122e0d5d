"""What may not be done with an exported network: what its training data's licence carries over."""

import re

from weaklesion.study.trained_on import OWN_PHANTOM, UNKNOWN, TrainedOn

NOT_A_DEVICE = "Not a medical device: not for diagnosis, treatment or triage."


def terms_of_use(data: TrainedOn) -> str:
    """Return in one line what may not be done with a network.

    Whether a network is bound by the licence of its training data is not settled everywhere; the
    line takes it to be.

    >>> data = TrainedOn(licence="CC BY-NC 4.0", modality="CT", channels="grey", marks="drawn")
    >>> terms_of_use(data)[:71]
    'Not a medical device: not for diagnosis, treatment or triage. Trained o'
    >>> terms_of_use(data).endswith("CC BY-NC 4.0: not for commercial use; name the data's source.")
    True
    """
    licence = data.licence
    if licence == UNKNOWN:
        bound = "unknown licence: do not pass the network on before its owner has agreed."
    elif licence == OWN_PHANTOM:
        bound = f"{licence}: made to try the software, of no use on images of patients."
    else:
        bound = f"{licence}: {'; '.join(_conditions(licence))}."
    return f"{NOT_A_DEVICE} Trained on data under {bound}"


def _conditions(licence: str) -> list[str]:
    """Return the conditions that the words of a licence name."""
    words = set(re.split(r"[^A-Z0-9]+", licence.upper()))
    found = []
    if "NC" in words:
        found.append("not for commercial use")
    if "ND" in words:
        found.append("no changed versions may be shared")
    if "SA" in words:
        found.append("what is made from it keeps this licence")
    if "BY" in words:
        found.append("name the data's source")
    return found or ["not for uses that this licence excludes"]

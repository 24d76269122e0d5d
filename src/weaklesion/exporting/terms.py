"""What may not be done with an exported network: what its training data's licence carries over."""

import re

from weaklesion.study.trained_on import OWN_PHANTOM, UNKNOWN, TrainedOn

NOT_A_DEVICE = "Not a medical device: not for diagnosis, treatment or triage."
CONDITIONS = {
    "NC": "not for commercial use",
    "ND": "no changed versions may be shared",
    "SA": "what is made from it keeps this licence",
    "BY": "name the data's source",
}
# The codes of `CC BY-NC 4.0`, `cc-by-nc` or https://creativecommons.org/licenses/by-nc/4.0/
CREATIVE_COMMONS = re.compile(
    r"(?:\bCC[\W_]*|(?:https?://(?:www\.)?)?creativecommons\.org/licenses/)"
    r"(BY(?:[\W_]*(?:NC|ND|SA))*)(?![a-z])",
    re.IGNORECASE,
)
NON_COMMERCIAL = re.compile(r"non[\W_]*commercial", re.IGNORECASE)


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
    """Return the conditions that the words of a licence name.

    >>> _conditions("CC BY-SA 4.0")
    ['what is made from it keeps this licence', "name the data's source"]
    >>> _conditions("approved by the board, for non-commercial research")
    ['not for commercial use', 'not for uses that this licence excludes']
    """
    codes = "".join(CREATIVE_COMMONS.findall(licence)).upper()
    found = [condition for code, condition in CONDITIONS.items() if code in codes]
    if NON_COMMERCIAL.search(licence) and CONDITIONS["NC"] not in found:
        found.insert(0, CONDITIONS["NC"])
    other_words = re.search("[^\\W\\d_]", CREATIVE_COMMONS.sub("", licence))
    if other_words or not found:
        found.append("not for uses that this licence excludes")
    return found

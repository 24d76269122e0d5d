"""What a study's configuration says of the data that a network is trained on.

Uses only the standard library. A rule reads it outside its params, so that a corrected licence does
not train again; a change of what the images are makes the patches again, and so the training.
"""

from typing import Any

from weaklesion.study.protocols import DRAWN_MARKS, Config, patch_settings
from weaklesion.study.trained_on import OWN_PHANTOM, UNKNOWN

MODALITIES = {  # of the loaders whose datasets have one
    "ham10k": "dermoscopy",
    "lits": "CT",
    "lits_liver": "CT",
    "deeplesion": "CT",
}
LEVELS = {  # how levels are made of grey images, by loader
    "lits": "Hounsfield units through window_hu",
    "lits_liver": "Hounsfield units through window_hu",
    "deeplesion": (
        "Hounsfield units through each lesion's own DICOM window; the channels are the slices at"
        " -2, 0 and 2 mm"
    ),
    "custom": "NIfTI and 16-bit PNG through window_hu; 8-bit images as they are stored",
}
COLOURS = "8-bit colours as they are stored"


def data_facts(config: Config, dataset: str, protocol: str) -> dict[str, Any]:
    """Return what `run.json` says of the data that the configuration knows.

    Args:
        config: the configuration.
        dataset: name of the dataset.
        protocol: name of the protocol.

    Returns:
        `dataset`, `source`, `licence`, `modality`, `channels`, `window_hu`, `levels` and `marks`,
        as in `weaklesion.study.trained_on.TrainedOn`.
    """
    definition = config["datasets"][dataset]
    of_files = config["datasets"][definition.get("files_of", dataset)]
    loader = definition["loader"]
    settings = patch_settings(config, dataset, protocol)
    order = settings.get("channel_order", "center")
    grey = order == "center"
    window = settings.get("window_hu") if grey else None
    licence = definition.get("licence", of_files.get("licence", UNKNOWN))
    is_phantom = "phantom" in of_files
    drawn = "drawn" if loader in DRAWN_MARKS else None
    return {
        "dataset": dataset,
        "source": "phantom" if is_phantom else of_files["source"],
        "licence": OWN_PHANTOM if is_phantom else " ".join(licence.split()),  # YAML may end a line
        "modality": definition.get("modality", MODALITIES.get(loader, UNKNOWN)),
        "channels": "grey" if grey else order,
        "window_hu": None if window is None else [float(end) for end in window],
        "levels": LEVELS.get(loader, UNKNOWN) if grey else COLOURS,
        "marks": drawn or settings.get("simulated_marks", "none"),
    }

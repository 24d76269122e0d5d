"""What a release folder says of itself: README, licences, metadata for Zenodo."""

from collections.abc import Mapping
from typing import Any

# SPDX names of licences, as in `workflow/resources/datasets.yaml`.
KNOWN_TO_ZENODO = ("Apache-2.0", "CC-BY-NC-4.0", "CC-BY-SA-4.0")
PAPER_URL = "https://hal.science/hal-03478040"
KEYWORDS = ["lesion segmentation", "weak supervision", "RECIST", "reproducibility", "deep learning"]


def licences_text(facts: Mapping[str, Mapping[str, str]], about: Mapping[str, Any]) -> str:
    """Return `LICENSES.md`: which licence holds for what, and what may not be done.

    Args:
        facts: dataset to what is known of its origin.
        about: see `readme_text`.
    """
    rows = "".join(
        f"| {name} | {_cell(known.get('licence')) or '**not recorded: ask before you use it**'} |"
        f" {_cell(known.get('restrictions')) or '**not recorded**'} |"
        f" {_cell(known.get('described_in')) or 'not recorded'} |\n"
        for name, known in facts.items()
    )
    return f"""# Licences of the study {about["study"]}

The code is under Apache-2.0 (`LICENSE`), and so are the files in `repository/`.

Weights, figures with images, and tables of samples derive from the data. Anyone who uses
them must keep to the data's own licences:

| Dataset | Licence | What may not be done, or must be done | Described in |
|---|---|---|---|
{rows}
The weights are for research. They are not a medical device: not for diagnosis, treatment,
screening or follow-up (`papers/model_card.html`).
"""


def _cell(text: str | None) -> str:
    """Return a text as a cell of a table in Markdown."""
    return " ".join((text or "").split()).replace("|", "\\|")


def readme_text(facts: Mapping[str, Mapping[str, str]], about: Mapping[str, Any]) -> str:
    """Return `README.md` of a release.

    Args:
        facts: dataset to what is known of its origin.
        about: `study`, `title`, `abstract`, `creators`, `version`, `commits`, `changed` (whether
            code differed from its commit), `num_trainings` and `num_models`.
    """
    weights = f"; of {about['num_models']} of them `model.safetensors`"
    commits = ", ".join(about["commits"]) + (", with changes" if about["changed"] else "")
    return f"""# {about["title"]}

{about["abstract"]}

Study `{about["study"]}` on {", ".join(facts)}: {about["num_trainings"]} training runs, by
WeakLesion {about["version"]} (commit {commits}).

| Path | Content |
|---|---|
| `index.html`, `overview.html`, `report.html` | start here, as far as the study has them |
| `papers/` | model card, data sheet, checklists |
| `tables/`, `figures/` | every table and figure |
| `<dataset>/<protocol>/patches/` | samples, splits and what was left out; no image |
| `<dataset>/<protocol>/runs/<arm>/seed-<s>/` | a training: `run.json`, scores, losses{weights} |
| `repository/` | files of the repository that the checklists name |
| `LICENSES.md`, `LICENSE`, `CITATION.cff` | read before you use or cite it |
| `SHA256SUMS` | check it with `sha256sum --check SHA256SUMS` |
| `ro-crate-metadata.json` | all files and training runs, for machines (RO-Crate) |
| `.zenodo.json` | metadata of the record, for Zenodo |
"""


def zenodo_metadata(
    facts: Mapping[str, Mapping[str, str]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata that Zenodo asks for.

    The licence is that of the data if all of them have the same; else none is named, because
    `LICENSES.md` has several.

    Args:
        facts: dataset to what is known of its origin.
        about: see `readme_text`.
    """
    names = {known.get("spdx", "") for known in facts.values()}
    shared = names.pop() if len(names) == 1 else ""
    licence = shared.lower() if shared in KNOWN_TO_ZENODO else None
    metadata = {
        "title": about["title"],
        "description": about["abstract"],
        "upload_type": "dataset",
        "access_right": "open",
        "creators": [{"name": name} for name in about["creators"]],
        "version": about["version"],
        "keywords": KEYWORDS,
        "notes": "LICENSES.md has the licences of code, data and weights. Not a medical device.",
        "related_identifiers": [{"identifier": PAPER_URL, "relation": "references"}],
    }
    return metadata | ({"license": licence} if licence else {})

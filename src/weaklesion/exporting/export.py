"""Export the network of a run: ONNX, `torch.export`, safetensors and a MONAI bundle."""

import json
import logging
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.export import ExportedProgram

from weaklesion.errors import DataError
from weaklesion.exporting.bundle import write_bundle
from weaklesion.exporting.onnx_form import DIGEST, ONNX_INPUTS, ONNX_OUTPUT, OPSET
from weaklesion.exporting.terms import terms_of_use
from weaklesion.exporting.whole_network import export_program, without_solver
from weaklesion.prediction.network import load_prompted_run
from weaklesion.prediction.run_folder import ONNX, RUN_FILES
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.trained_on import TrainedOn, read_run, read_trained_on
from weaklesion.support.files import file_digest, write_json

logger = logging.getLogger(__name__)

FORMATS = ("safetensors", "onnx", "pt2", "monai")
PART = ".part.export"  # folder of an export that is not finished, in its output folder


def export_run(
    run_dir: str | Path, out_dir: str | Path, formats: str | Sequence[str] = FORMATS
) -> dict[str, Path]:
    """Export the network of a run that reads marks; the function behind `weaklesion export`.

    Args:
        run_dir: folder of a trained run.
        out_dir: folder to write to, which must be absent or empty: `model.safetensors` and
            `model.onnx` with `run.json`, `model.pt2` and `monai_bundle/`. Each carries the licence
            of the training data and a line that says what may not be done with the network.
            It gets all of them, or after an error none.
        formats: some of `FORMATS`, or one.

    Returns:
        What was written, by format.

    Raises:
        DataError: if a format is unknown, the run cannot be used, does not say what it was trained
            on, its network does not read marks, a package is missing, or the folder has files.
    """
    run, out = Path(run_dir), Path(out_dir)
    wanted = [formats] if isinstance(formats, str) else formats
    if not isinstance(wanted, tuple | list) or not wanted or any(f not in FORMATS for f in wanted):
        raise DataError(f"formats: needs one or more of {', '.join(FORMATS)}, not {formats!r}.")
    if out.exists() and (not out.is_dir() or any(path.name != PART for path in out.iterdir())):
        raise DataError(f"{out}: is not an empty folder. Give another --out.")
    if "onnx" in wanted and find_spec("onnxscript") is None:
        raise DataError("export: ONNX needs onnxscript: pip install 'weaklesion[export]'.")
    network, settings = load_prompted_run(run, torch.device("cpu"))
    data = read_trained_on(run / RUN_FILES[1])
    told = read_run(run / RUN_FILES[1])
    part = out / PART
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        written = _write_forms(part, wanted, network, settings, data, told)
        for path in sorted(part.iterdir()):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {form: out / path.name for form, path in written.items()}


def _write_forms(
    out: Path,
    formats: Sequence[str],
    network: nn.Module,
    settings: TrainingSettings,
    data: TrainedOn,
    told: dict[str, Any],
) -> dict[str, Path]:
    """Write a network in some of `FORMATS`, and return what was written, by format.

    Args:
        out: folder to write to.
        formats: some of `FORMATS`.
        network: on the CPU, ready to predict.
        settings: of its training.
        data: what it was trained on.
        told: content of its `run.json`.
    """
    papers = papers_of(told, data)
    told = {key: value for key, value in told.items() if key != DIGEST} | {"terms": papers["terms"]}
    written: dict[str, Path] = {}
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if "safetensors" in formats:
        written["safetensors"] = out / RUN_FILES[0]
        written["safetensors"].write_bytes(save(weights, metadata=papers))
        write_json(out / RUN_FILES[1], told)
    if not {"onnx", "pt2", "monai"} & set(formats):
        return written
    logger.info("the network and what surrounds it are traced, which takes a minute")
    program = export_program(network, settings)
    if "pt2" in formats:
        written["pt2"] = out / "model.pt2"
        torch.export.save(program, written["pt2"], extra_files=dict(papers))
    if "onnx" in formats:
        written["onnx"] = out / ONNX
        write_onnx(program, written["onnx"], papers)
        write_json(out / RUN_FILES[1], told | {DIGEST: file_digest(out / ONNX)})
    if "monai" in formats:
        written["monai"] = out / "monai_bundle"
        write_bundle(written["monai"], program, weights, settings, data, papers)
    return written


def papers_of(told: dict[str, Any], data: TrainedOn) -> dict[str, str]:
    """Return the texts that every exported file carries: licence, terms, and the run's own words.

    Args:
        told: content of `run.json`.
        data: what the network was trained on.
    """
    return {
        "licence": data.licence,
        "terms": terms_of_use(data),
        "data": json.dumps(data.as_json()),
        "settings": json.dumps(told["settings"]),
        "mark_contrast": json.dumps(told.get("mark_contrast")),
    }


def write_onnx(program: ExportedProgram, path: Path, papers: dict[str, str]) -> None:
    """Write a program as ONNX; its metadata are `papers`."""
    converted = torch.onnx.export(
        without_solver(program),
        dynamo=True,
        input_names=list(ONNX_INPUTS),
        output_names=[ONNX_OUTPUT],
        opset_version=OPSET,
        verbose=False,
    )
    assert converted is not None
    converted.model.metadata_props.update(papers)
    converted.model.doc_string = papers["terms"]
    converted.save(str(path))

"""An exported network, with ONNX Runtime and without PyTorch.

The file holds the whole function from image and mark to logits (`weaklesion.exporting`). ONNX
Runtime itself refuses weights outside the file's folder, also by links, and operators that it does
not have; no library of operators is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.errors import DataError
from weaklesion.exporting.onnx_form import DIGEST, ONNX_INPUTS, ONNX_OUTPUT, ONNX_OUTPUTS
from weaklesion.prediction.run_folder import check_reads_marks, read_settings
from weaklesion.segment.crops import Crop
from weaklesion.segment.predictor import Predictor
from weaklesion.study.trained_on import read_run, read_trained_on
from weaklesion.support.extras import require
from weaklesion.support.files import file_digest
from weaklesion.training.prompt_settings import mark_arrays

AGAIN = "Copy all files of the export again, or export the run again."
ERRORS_ONLY = 3  # of ONNX Runtime's log
MOST_SAID = 300  # characters of its message


@dataclass(frozen=True, kw_only=True)
class OnnxPredictor(Predictor):
    """A network that reads marks.

    Attributes:
        session: ONNX Runtime's, of the exported file.
    """

    session: Any

    def logits(self, crops: Sequence[Crop]) -> list[np.ndarray]:
        """Return the logits of crops, see `Predictor.logits`."""
        return [self._logits_of(crop) for crop in crops]

    def _logits_of(self, crop: Crop) -> np.ndarray:
        given = {
            "image": np.ascontiguousarray(crop.image.transpose(2, 0, 1))[None],
            "mark": mark_arrays([crop.shrunk]),
            "result_mark": mark_arrays([crop.shape]),
            "rows": np.zeros(crop.shape_hw[0], dtype=np.float32),
            "columns": np.zeros(crop.shape_hw[1], dtype=np.float32),
        }
        try:
            (found,) = self.session.run([ONNX_OUTPUT], given)
        except Exception as error:  # its errors have no class of their own
            raise DataError(
                f"{self.files[0]}: cannot be computed ({_said(error)}). {AGAIN}"
            ) from error
        if found.shape != (1, *crop.shape_hw):
            raise DataError(
                f"{self.files[0]}: returns logits of shape {found.shape} for a crop of"
                f" {crop.shape_hw}. {AGAIN}"
            )
        if not np.isfinite(found).all():
            raise DataError(
                f"{self.files[0]}: the network's outputs are not finite: its weights are damaged."
                f" {AGAIN}"
            )
        logits: np.ndarray = found[0]
        return logits


def load_onnx(network: Path, run_json: Path, threads: int | None) -> OnnxPredictor:
    """Load an exported network, see `weaklesion.segment.predictor.load_predictor`.

    Args:
        network: the exported file.
        run_json: the description of its run.
        threads: CPU threads; None for what ONNX Runtime chooses.

    Raises:
        DataError: if ONNX Runtime is not installed, the file is not the one that was exported with
            the description, or it is no exported network.
    """
    require("onnxruntime", f"{network}")
    trained = read_settings(run_json)
    check_reads_marks(network.parent, trained)
    data = read_trained_on(run_json)
    if read_run(run_json).get(DIGEST) != file_digest(network):
        raise DataError(
            f"{network}: is not the file that was exported with {run_json}: one of them is damaged,"
            f" or from elsewhere. {AGAIN}"
        )
    session = _session(network, threads)
    _check_form(network, session.get_inputs(), ONNX_INPUTS)
    _check_form(network, session.get_outputs(), ONNX_OUTPUTS)
    return OnnxPredictor(files=(network, run_json), trained=trained, data=data, session=session)


def _session(network: Path, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(network), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no class of their own
        raise DataError(f"{network}: cannot be loaded ({_said(error)}). {AGAIN}") from error


def _check_form(
    network: Path,
    found: Sequence[Any],
    expected: Mapping[str, tuple[str, tuple[int | None, ...]]],
) -> None:
    """Check names, types and shapes of a file's inputs or outputs."""
    fits = len(found) == len(expected) and all(
        one.name == name
        and one.type == kind
        and len(one.shape) == len(sizes)
        and all(size is None or size == given for size, given in zip(sizes, one.shape, strict=True))
        for one, (name, (kind, sizes)) in zip(found, expected.items(), strict=True)
    )
    if not fits:
        told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in found)
        raise DataError(
            f"{network}: has {told[:MOST_SAID]}, which is not the form that weaklesion export"
            f" writes. {AGAIN}"
        )


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:MOST_SAID]

"""An exported network, with ONNX Runtime and without PyTorch.

The file holds the whole function from image and mark to logits (`weaklesion.exporting`). Somebody
else may have made it: only operators of exports are taken (`weaklesion.segment.onnx_graph`),
nothing is computed while it is loaded, and its computation is limited in memory and time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Timer
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
from weaklesion.support.reading import limit_of
from weaklesion.training.prompt_settings import mark_arrays

AGAIN = "Copy all files of the export again, or export the run again."
FATAL_ONLY = 4  # of ONNX Runtime's log: its errors become ours
AS_REQUESTED = 1  # its memory grows by what is asked for, and not by powers of two
OVER_MEMORY = "is smaller than requested bytes"  # in its message
MOST_SAID = 300  # characters of its message
MEMORY_BYTES = "WEAKLESION_MAX_ONNX_BYTES", 4 * 2**30  # of a network's weights and values
SECONDS = "WEAKLESION_MAX_ONNX_SECONDS", 300  # for one mark, or one slice of a volume


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
        found = _computed(self.session, given, self.files[0])
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
            the description, or it is not an exported network.
    """
    require("onnxruntime", f"{network}")
    trained = read_settings(run_json)
    check_reads_marks(network.parent, trained)
    data = read_trained_on(run_json)
    if read_run(run_json).get(DIGEST) != file_digest(network):
        raise DataError(
            f"{network}: is not the file that was exported with {run_json}: one of them is damaged,"
            f" or from another export. {AGAIN}"
        )
    session = _session(network, threads)
    _check_form(network, session.get_inputs(), ONNX_INPUTS)
    _check_form(network, session.get_outputs(), ONNX_OUTPUTS)
    return OnnxPredictor(files=(network, run_json), trained=trained, data=data, session=session)


def _computed(session: Any, given: Mapping[str, np.ndarray], network: Path) -> np.ndarray:
    """Return a network's output, or stop it between two operators when its time is over."""
    import onnxruntime

    options, seconds = onnxruntime.RunOptions(), limit_of(SECONDS)
    options.log_severity_level = FATAL_ONLY
    timer = Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        (found,) = session.run([ONNX_OUTPUT], given, options)
    except Exception as error:  # its errors have no class of their own
        said = _said(error)
        if options.terminate:
            said = f"it takes more than {seconds} s for a mark; {SECONDS[0]} allows more"
        elif OVER_MEMORY in str(error):
            said = (
                f"it takes more than {limit_of(MEMORY_BYTES)} bytes; {MEMORY_BYTES[0]} allows more"
            )
        raise DataError(f"{network}: cannot be computed ({said}). {AGAIN}") from error
    finally:
        timer.cancel()
    result: np.ndarray = found
    return result


@cache
def _limit_memory() -> None:
    """Limit what sessions of this process that share its allocator take together."""
    import onnxruntime

    onnxruntime.create_and_register_allocator(
        onnxruntime.OrtMemoryInfo(
            "Cpu",
            onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
            0,
            onnxruntime.OrtMemType.DEFAULT,
        ),
        onnxruntime.OrtArenaCfg(
            {"max_mem": limit_of(MEMORY_BYTES), "arena_extend_strategy": AS_REQUESTED}
        ),
    )


def _session(network: Path, threads: int | None) -> Any:
    """Return ONNX Runtime's session of a file that has nothing unusual."""
    import onnxruntime

    from weaklesion.segment.onnx_graph import unusual_part  # its protobuf is of ONNX Runtime

    if (unusual := unusual_part(network)) is not None:
        raise DataError(f"{network}: cannot be loaded ({unusual}). {AGAIN}")
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")  # `_limit_memory`
    try:
        return onnxruntime.InferenceSession(
            str(network),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["ConstantFolding"],  # it would compute, without these limits
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

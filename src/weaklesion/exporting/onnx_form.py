"""What an exported ONNX file takes and returns. Imports no torch."""

# Inputs in their order: type, and the sizes that are the same for all images (None: any).
ONNX_INPUTS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "image": ("tensor(uint8)", (1, 3, None, None)),
    "mark": ("tensor(float)", (1, 5, 2)),
    "result_mark": ("tensor(float)", (1, 5, 2)),
    "rows": ("tensor(float)", (None,)),
    "columns": ("tensor(float)", (None,)),
}
ONNX_OUTPUT = "logits"
ONNX_OUTPUTS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    ONNX_OUTPUT: ("tensor(float)", (1, None, None))
}
OPSET = 18  # version of ONNX's operators
DIGEST = "onnx_sha256"  # key of `run.json`: digest of the file that was exported with it

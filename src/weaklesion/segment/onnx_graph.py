"""Whether an ONNX file is of the kind that `weaklesion export` writes, without running any of it.

ONNX Runtime would also run loops, custom operators and files of weights beside the model. Protobuf
reads the file here by the few fields that matter, of the numbers of onnx.proto.
"""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from weaklesion.exporting.onnx_form import OPSET

MOST_NODES = 5000  # an export has 400
OF_EXPORTS = """
    Abs Add And Cast Clip Concat Conv ConvTranspose Div Expand Gather Greater GridSample Less MatMul
    Max Mul Neg Or Pow Range ReduceMax ReduceMean ReduceSum Reshape Shape Slice Squeeze Sub Tanh
    Transpose Unsqueeze Where
"""
INSTEAD = """
    BatchNormalization Equal GreaterOrEqual Identity LessOrEqual Min Not PRelu Relu Sqrt
"""  # of these, as other versions of PyTorch write it
OPERATORS = frozenset((OF_EXPORTS + INSTEAD).split())
PLAIN_ATTRIBUTES = {1, 2, 3, 6, 7, 8}  # numbers, texts and lists of them: no graph and no tensor
BYTES_OF = {1: 4, 6: 4, 7: 8, 9: 1}  # float, int32, int64, bool

FIELDS = {  # message: name, number and type of its fields; * is a list
    "Model": "graph 7 Graph, opset_import 8 Opset*, training_info 20 Any*, functions 25 Any*",
    "Opset": "domain 1 bytes, version 2 int64",
    "Graph": "node 1 Node*, initializer 5 Tensor*, sparse_initializer 15 Any*",
    "Node": "op_type 4 bytes, attribute 5 Attribute*, domain 7 bytes",
    "Attribute": "g 6 Any, tensors 10 Any*, graphs 11 Any*, type 20 int64",
    "Tensor": (
        "dims 1 int64*, data_type 2 int64, name 8 bytes, raw_data 9 bytes, external_data 13 Any*,"
        " data_location 14 int64"
    ),
    "Any": "",
}


def unusual_part(network: Path) -> str | None:
    """Return in words what an exported network never has, or None.

    Args:
        network: an ONNX file.
    """
    model = _model()()
    try:
        model.ParseFromString(network.read_bytes())
    except message.DecodeError:
        return "it is not an ONNX file"
    return next(_unusual_parts(model), None)


def _unusual_parts(model: Any) -> Iterator[str]:
    sets = {each.domain.decode(errors="replace"): each.version for each in model.opset_import}
    if sets.get("") != OPSET:
        yield f"its operators are of version {sets.get('', 'unknown')} and not of {OPSET}"
    if model.functions or model.training_info:
        yield "it has functions or a training of its own"
    if len(model.graph.node) > MOST_NODES:
        yield f"it has {len(model.graph.node)} operators, and at most {MOST_NODES} are allowed"
    for node in model.graph.node:
        name = (node.domain + b"." * bool(node.domain) + node.op_type).decode(errors="replace")
        if name not in OPERATORS:
            yield f"its operator {name[:60]} is in no export"
        if any(
            attribute.type not in PLAIN_ATTRIBUTES or attribute.HasField("g") or attribute.graphs
            for attribute in node.attribute
        ):
            yield f"its operator {name} contains a graph or a tensor"
    if model.graph.sparse_initializer:
        yield "it has sparse weights"
    for tensor in model.graph.initializer:
        yield from _unusual_weights(tensor)


def _unusual_weights(tensor: Any) -> Iterator[str]:
    name = tensor.name.decode(errors="replace")[:60]
    if tensor.data_location or tensor.external_data:
        yield f"its weights {name} lie in another file"
    size = math.prod(tensor.dims) * BYTES_OF.get(tensor.data_type, math.nan)
    if min(tensor.dims, default=0) < 0 or size != len(tensor.raw_data):
        yield f"its weights {name} have {len(tensor.raw_data)} bytes, which do not fit their shape"


@cache
def _model() -> Any:
    """Return the class that reads a model, made of `FIELDS`."""
    file = descriptor_pb2.FileDescriptorProto(name="onnx_part.proto", package="part")
    kinds = descriptor_pb2.FieldDescriptorProto
    for kind, fields in FIELDS.items():
        described = file.message_type.add(name=kind)
        for field in filter(None, fields.split(", ")):
            name, number, of = field.split()
            of, is_list = of.rstrip("*"), of.endswith("*")
            told = described.field.add(name=name, number=int(number))
            told.label = kinds.LABEL_REPEATED if is_list else kinds.LABEL_OPTIONAL
            if of in FIELDS:
                told.type, told.type_name = kinds.TYPE_MESSAGE, f".part.{of}"
            else:
                told.type = {"bytes": kinds.TYPE_BYTES, "int64": kinds.TYPE_INT64}[of]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("part.Model"))

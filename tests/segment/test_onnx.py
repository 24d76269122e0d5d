"""`weaklesion segment` with exported networks: the results of the run, and what is refused."""

import json
from importlib.util import find_spec as find
from pathlib import Path
from tempfile import NamedTemporaryFile

import nibabel
import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from pydicom import dcmread
from segmenting import add_settings, describe
from test_lesion_volume import lesion, row_of, save
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.dicom.phantom import make_export
from weaklesion.exporting.export import export_run
from weaklesion.exporting.onnx_form import DIGEST
from weaklesion.marks.table import read_marks
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.segment.crops import open_mark
from weaklesion.segment.onnx_graph import unusual_part
from weaklesion.segment.onnx_predictor import OnnxPredictor
from weaklesion.segment.predictor import load_predictor
from weaklesion.support.files import file_digest

FORM = {
    "image": (TensorProto.UINT8, [1, 3, "h", "w"]),
    "mark": (TensorProto.FLOAT, [1, 5, 2]),
    "result_mark": (TensorProto.FLOAT, [1, 5, 2]),
    "rows": (TensorProto.FLOAT, ["H"]),
    "columns": (TensorProto.FLOAT, ["W"]),
}


def exported(model, arm):
    """The export of a run with a known network, beside it."""
    add_settings(model, arm)
    out = model.parent / "exported"
    written = export_run(model, out, ("onnx",))
    assert sorted(path.name for path in out.iterdir()) == ["model.onnx", "run.json"]
    assert written == {"onnx": out / "model.onnx"}
    return out


def segment(model, folder, out, *options):
    words = ["segment", "--model", model, "--marks", folder / "marks.csv", "--out", folder / out]
    return CliRunner().invoke(app, [str(word) for word in (*words, *options)])


def contents(folder):
    """The content of every file that a call wrote but the journal, and the journal's rows."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "journal.jsonl"
    }
    lines = (folder / "journal.jsonl").read_text().split("\n")
    entries = [json.loads(line) for line in lines if line]
    return files, [entry["row"] for entry in entries if "row" in entry]


def assert_same(model, export, folder, *options):
    """Both write the same bytes; return the measurements."""
    result = segment(model, folder, "with-torch", *options)
    assert result.exit_code == 0, result.output
    result = segment(export, folder, "with-onnx", *options)
    assert result.exit_code == 0, result.output
    (files, rows), (found, found_rows) = (
        contents(folder / name) for name in ("with-torch", "with-onnx")
    )
    assert found.keys() == files.keys()
    assert {name for name in files if found[name] != files[name]} == set()
    assert found_rows == rows
    return pd.read_csv(folder / "with-onnx/measurements.csv", dtype={"id": str}).set_index("id")


def logits_of(model, folder):
    """Logits of all marks of a table, and what computed them."""
    network = load_predictor(model)
    marks, _ = read_marks(folder / "marks.csv")
    window = network.data.window_hu or (-160.0, 240.0)
    opened = [open_mark(mark, network.trained, network.data, window) for mark in marks]
    return network.logits([each.crop for each in opened]), network


def assert_close(model, export, folder):
    expected, _ = logits_of(model, folder)
    found, network = logits_of(export, folder)
    assert isinstance(network, OnnxPredictor)
    for first, second in zip(expected, found, strict=True):
        assert second.dtype == np.float32
        assert np.abs(first - second).max() < 1e-4
        assert 0.01 < (first >= 0).mean() < 0.99


@pytest.mark.workflow
def test_a_network_of_ellipses(model, tmp_path, images, caplog):
    export = exported(model, "prompted")
    _, rows = images
    other = {"id": "none", "image": "none.png"} | {k: rows[0][k] for k in rows[0] if k[-1] in "xy"}
    pd.DataFrame([*rows, other]).to_csv(tmp_path / "marks.csv", index=False)
    measured = assert_same(model, export, tmp_path)
    assert set(measured["answer"]) == {"network"}
    assert len(pd.read_csv(tmp_path / "with-onnx/refused.csv")) == 1
    caplog.set_level("INFO")
    result = segment(export / "model.onnx", tmp_path, "with-onnx")  # the same network
    assert result.exit_code == 0, result.output
    assert "4 of 5 marks are done already" in caplog.text
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    assert_close(model, export, tmp_path)
    moved = assert_same(model, export, tmp_path, "--consistent", "--gate", "0")
    assert (moved["long_difference_px"].abs() < 2.5).all()


@pytest.mark.workflow
def test_a_network_of_ends_and_of_bgr(model_of_ends, tmp_path, images):
    describe(model_of_ends, channels="bgr")
    export = exported(model_of_ends, "prompted_ends")
    pd.DataFrame(images[1]).to_csv(tmp_path / "marks.csv", index=False)
    assert_same(model_of_ends, export, tmp_path)
    assert_close(model_of_ends, export, tmp_path)


@pytest.mark.workflow
def test_a_network_of_ct_in_two_and_three_dimensions(grey_model, tmp_path):
    export = exported(grey_model, "prompted")
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    pd.DataFrame([row_of(mask)]).to_csv(tmp_path / "marks.csv", index=False)
    assert_close(grey_model, export, tmp_path)
    measured = assert_same(grey_model, export, tmp_path, "--volume")
    assert measured.loc["l", "volume_network_mm3"] > 0
    written = nibabel.load(tmp_path / "with-onnx" / measured.loc["l", "volume"])
    assert (np.asarray(written.dataobj) > 0).sum() > mask[:, :, 8].sum()
    result = segment(export, tmp_path, "other", "--window", "0", "80")
    assert result.exit_code == 1
    assert "is not that of the training, -160 to 240" in result.output


@pytest.fixture
def small(tmp_path, images):
    """A folder as of an export, whose network answers 5 everywhere, and a table of marks.

    The marks are so large that a crop is the whole image, and no square.
    """
    table = pd.DataFrame(images[1])
    for axis in "xy":
        names = [name for name in RECIST_COLUMNS if name.endswith(axis)]
        middle = table[names].mean(axis=1)
        table[names] = table[names].sub(middle, axis=0).mul(1.3).add(middle, axis=0)
    table.to_csv(tmp_path / "marks.csv", index=False)
    folder = tmp_path / "small"
    folder.mkdir()
    add_settings(folder, "prompted")
    describe(folder)
    write(folder, graph())
    return folder


def graph(answer=5.0, form=FORM, weights=None, operator="Add", domain="", turned=False):
    """A graph of the form of an export; `weights` replaces the constant that is its answer."""
    if weights is None:
        weights = numpy_helper.from_array(np.float32([answer]), "answer")
    axes = [numpy_helper.from_array(np.array(sizes), name)
            for name, sizes in (("of_rows", [0, 2]), ("of_columns", [0, 1]))]  # fmt: skip
    first, second = ("columns", "rows") if turned else ("rows", "columns")
    nodes = [
        helper.make_node("Mul", [first, "zero"], ["no_rows"]),
        helper.make_node("Mul", [second, "zero"], ["no_columns"]),
        helper.make_node("Unsqueeze", ["no_rows", "of_rows"], ["y"]),
        helper.make_node("Unsqueeze", ["no_columns", "of_columns"], ["x"]),
        helper.make_node("Add", ["x", "y"], ["xy"]),
        helper.make_node(operator, ["xy", "answer"], ["logits"], domain=domain),
    ]
    inputs = [helper.make_tensor_value_info(name, *of) for name, of in form.items()]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["a", "b", "c"])
    zero = numpy_helper.from_array(np.float32([0]), "zero")
    return helper.make_graph(nodes, "g", inputs, [output], [weights, zero, *axes])


def write(folder, content):
    """Write a file and its digest, as an export does; a graph or bytes."""
    if not isinstance(content, bytes):
        versions = [helper.make_opsetid("", 18), helper.make_opsetid("theirs", 1)]
        content = helper.make_model(content, opset_imports=versions, ir_version=10)
        content = content.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    told = json.loads((folder / "run.json").read_text())
    told[DIGEST] = file_digest(folder / "model.onnx")
    (folder / "run.json").write_text(json.dumps(told))


def outside(location):
    """Weights in another file."""
    tensor = numpy_helper.from_array(np.float32([5]), "answer")
    set_external_data(tensor, location, offset=0, length=4)
    tensor.ClearField("raw_data")
    return tensor


def unusual_part_of(model):
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(model.SerializeToString())
        return unusual_part(Path(file.name))


def refused(folder, tmp_path, *options):
    result = segment(folder, tmp_path, "out", *options)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


def test_a_file_of_the_form_is_run(small, tmp_path):
    result = segment(small, tmp_path, "out", "--gate", "0")
    assert result.exit_code == 0, result.output
    measured = pd.read_csv(tmp_path / "out/measurements.csv")
    assert (measured["answer"] == "network").all()
    again = segment(small / "model.onnx", tmp_path, "out", "--gate", "0", "--threads", "1")
    assert again.exit_code == 0, again.output
    assert pd.read_csv(tmp_path / "out/measurements.csv").equals(measured)
    write(small, graph(answer=-5.0))  # another network: everything is made again
    result = segment(small, tmp_path, "out", "--gate", "0")
    assert "0 marks segmented" in result.output
    assert "found no lesion for 4 marks" in result.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be loaded"),
        (b"no network at all", "cannot be loaded"),
        (graph(operator="Theirs", domain="theirs"), "its operator theirs.Theirs is in no export"),
        (graph(form=FORM | {"mark": (TensorProto.FLOAT, [1, 4, 2])}), "is not the form that"),
        (graph(form=FORM | {"image": (TensorProto.FLOAT, [1, 3, "h", "w"])}), "tensor(float)"),
        (graph(form={"input": FORM["image"]} | FORM), "is not the form that"),
        (graph(operator="Less"), "cannot be loaded"),  # it returns no numbers
        (graph(weights=numpy_helper.from_array(np.ones((2, 1, 1), np.float32), "answer")),
         "has logits tensor(float)"),
        (graph(answer=float("nan")), "the network's outputs are not finite"),
        (graph(weights=numpy_helper.from_array(np.ones(7, np.float32), "answer")), "computed"),
        (graph(turned=True), "returns logits of shape (1, "),
    ],
)  # fmt: skip
def test_what_is_no_exported_network_is_refused(small, tmp_path, content, words):
    write(small, content)
    said = refused(small, tmp_path)
    assert words in said
    assert "model.onnx" in said
    assert "or export the run again" in said
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.parametrize(
    "location", ["../own.bin", "{folder}/own.bin", "link.bin", "none.bin", "beside.bin"]
)
def test_weights_in_other_files_are_not_read(small, tmp_path, location):
    np.float32([5]).tofile(tmp_path / "own.bin")
    np.float32([5]).tofile(small / "beside.bin")
    (small / "link.bin").symlink_to(tmp_path / "own.bin")
    write(small, graph(weights=outside(location.format(folder=tmp_path))))
    assert "its weights answer lie in another file" in refused(small, tmp_path)


def forever():
    """A graph whose answer is a loop that never ends."""
    of = {"turn": (TensorProto.INT64, []), "on": (TensorProto.BOOL, []), "x": (TensorProto.FLOAT,)}
    told = {name: helper.make_tensor_value_info(name, *kind, *[None] * (len(kind) < 2))
            for name, kind in of.items()}  # fmt: skip
    body = [helper.make_node("Identity", ["on"], ["on2"]), helper.make_node("Abs", ["x"], ["x2"])]
    inside = helper.make_graph(body, "body", list(told.values()), [
        helper.make_tensor_value_info("on2", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x2", TensorProto.FLOAT, None),
    ])  # fmt: skip
    made = graph()
    made.node[5].output[0] = "whole"
    made.node.append(helper.make_node("Loop", ["", "yes", "whole"], ["logits"], body=inside))
    made.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    return made


def long_matrices(side, times=1):
    """A graph that adds the product of matrices of ones, of any side, to its answer."""
    made = graph()
    made.node[5].output[0] = "whole"
    made.initializer.append(numpy_helper.from_array(np.array([side, side]), "sides"))
    made.node.append(helper.make_node("ReduceSum", ["whole"], ["one"], keepdims=0))
    made.node.append(helper.make_node("Expand", ["one", "sides"], ["matrix0"]))
    for turn in range(times):
        names = [f"matrix{turn}"] * 2
        made.node.append(helper.make_node("MatMul", names, [f"matrix{turn + 1}"]))
    made.node.append(helper.make_node("ReduceSum", [f"matrix{times}"], ["sum"], keepdims=0))
    made.node.append(helper.make_node("Add", ["whole", "sum"], ["logits"]))
    return made


def with_sparse_weights():
    made = graph()
    values = numpy_helper.from_array(np.float32([5]), "sparse")
    places = numpy_helper.from_array(np.int64([0]), "places")
    made.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**40]))
    return made


def constant_of_shape():
    made = graph()
    value = numpy_helper.from_array(np.float32([1]))
    made.initializer.append(numpy_helper.from_array(np.int64([2**40]), "size"))
    made.node.append(helper.make_node("ConstantOfShape", ["size"], ["large"], value=value))
    return made


def claiming(shape):
    """A graph whose weights claim a shape that their bytes have not."""
    weights = numpy_helper.from_array(np.float32([5]), "answer")
    weights.dims[:] = shape
    return graph(weights=weights)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (forever(), "its operator Loop is in no export"),
        (constant_of_shape(), "its operator ConstantOfShape is in no export"),
        (with_sparse_weights(), "it has sparse weights"),
        (claiming([2**40]), "its weights answer have 4 bytes, which do not fit their shape"),
        (claiming([-1]), "its weights answer have 4 bytes"),
        (long_matrices(2, times=5000), "operators, and at most 5000 are allowed"),
        (long_matrices(10**5), "more than 4294967296 bytes; WEAKLESION_MAX_ONNX_BYTES allows"),
        (long_matrices(2**31), "cannot be computed"),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_would_take_all_memory_or_never_end_is_refused(small, tmp_path, content, words):
    write(small, content)
    said = refused(small, tmp_path)
    assert words in said
    assert "small/model.onnx" in said
    assert "export the run again" in said


def test_versions_functions_and_hidden_graphs_are_refused():
    model = helper.make_model(graph(), opset_imports=[helper.make_opsetid("", 18)])
    assert unusual_part_of(model) is None
    function = helper.make_function(
        "own", "Sum", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], model.opset_import
    )
    model.functions.append(function)
    assert unusual_part_of(model) == "it has functions or a training of its own"
    del model.functions[:]
    model.graph.node[0].attribute.append(helper.make_attribute("body", graph()))
    assert unusual_part_of(model) == "its operator Mul contains a graph or a tensor"
    model.graph.node[0].attribute[0].type = 2  # said to be a number
    assert unusual_part_of(model) == "its operator Mul contains a graph or a tensor"
    model.opset_import[0].version = 17
    assert unusual_part_of(model) == "its operators are of version 17 and not of 18"


def test_a_network_that_takes_too_long_is_stopped(small, tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLESION_MAX_ONNX_SECONDS", "1")
    write(small, long_matrices(600, times=4000))  # minutes
    said = refused(small, tmp_path, "--threads", "1")
    assert "takes more than 1 s for a mark; WEAKLESION_MAX_ONNX_SECONDS allows more" in said
    assert "small/model.onnx" in said


def test_a_changed_file_and_one_of_another_export_are_refused(small, tmp_path):
    path = small / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is not the file that was exported with" in refused(small, tmp_path)
    path.write_bytes(content[:100])
    assert "is not the file that was exported with" in refused(small, tmp_path)
    (small / "run.json").unlink()
    assert "has no run.json" in refused(path, tmp_path)
    path.unlink()
    assert "model.onnx: does not exist" in refused(path, tmp_path)
    assert "has no model.safetensors, and no model.onnx" in refused(small, tmp_path)


def test_what_a_run_is_checked_for_an_export_is_checked_for(small, tmp_path):
    told = json.loads((small / "run.json").read_text())

    def refused_with(**changes):
        (small / "run.json").write_text(json.dumps(told | changes))
        return refused(small, tmp_path)

    assert "weaklesion describe-run" in refused_with(data=None)
    assert "channels: 'cmyk' is none of" in refused_with(data=told["data"] | {"channels": "cmyk"})
    assert "network was trained on" in (
        refused_with(data=told["data"] | {"channels": "grey"})
        + (tmp_path / "out/refused.csv").read_text()
    )
    plain = told["settings"] | {"model": "a1", "prompt": None, "encoder": "resnet18"}
    assert "a1 does not read marks" in refused_with(settings=plain)
    assert "input_px or pad_to is above 8192" in refused_with(
        settings=told["settings"] | {"input_px": 80_000, "pad_to": [80_000, 80_000]}
    )
    damaged = told["settings"] | {"prompt": {"margin": 0}}
    assert "its settings describe no network" in refused_with(settings=damaged)


def test_sizes_outside_the_training_are_noted(small, tmp_path):
    describe(small, long_px={"p0": 500.0, "p100": 600.0})
    result = segment(small, tmp_path, "out", "--gate", "0")
    assert "4 of 4 marks lie outside what the network was trained on" in result.output


def test_marks_in_dicom(small, tmp_path):
    make_export(tmp_path / "in")
    describe(small, modality="CT", channels="grey", window_hu=[-160.0, 240.0])
    words = ["--model", small, "--dicom", tmp_path / "in", "--out", tmp_path / "out", "--gate", "0"]
    result = CliRunner().invoke(app, ["segment", *map(str, words)])
    assert result.exit_code == 0, result.output
    written = pd.read_csv(tmp_path / "out/dicom/written.csv")
    segmentations = written[written["kind"] == "SEG"]
    found = dcmread(tmp_path / "out/dicom" / segmentations["file"].iloc[0])
    assert file_digest(small / "model.onnx").startswith(found.DeviceSerialNumber)


def test_what_is_missing_is_named(small, tmp_path, monkeypatch):
    def absent(*packages):
        def found(name):
            return None if name in packages else find(name)

        for module in ("prediction.run_folder", "support.extras"):
            monkeypatch.setattr(f"weaklesion.{module}.find_spec", found)

    (small / "model.safetensors").write_bytes(b"")
    absent("torch")
    result = segment(small, tmp_path, "out", "--gate", "0")  # its model.onnx is taken then
    assert result.exit_code == 0, result.output
    absent("onnxruntime")
    assert "pip install 'weaklesion[onnx]'" in refused(small / "model.onnx", tmp_path)
    absent("scipy")
    for option in ("--volume", "--consistent"):
        said = refused(small / "model.onnx", tmp_path, option)
        assert "pip install 'weaklesion[volume]'" in said
    (small / "model.onnx").unlink()
    absent("torch")
    said = refused(small, tmp_path)
    assert "pip install 'weaklesion[torch]'" in said
    assert "model.onnx that weaklesion export writes" in said


def test_a_digest_is_of_the_export_that_it_lies_in(model):
    add_settings(model, "prompted")
    told = json.loads((model / "run.json").read_text())
    (model / "run.json").write_text(json.dumps(told | {DIGEST: "of another file"}))
    export_run(model, model.parent / "again", ("safetensors",))
    assert DIGEST not in json.loads((model.parent / "again/run.json").read_text())

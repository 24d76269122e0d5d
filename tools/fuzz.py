"""Damage valid files at random, read them as the project does, and count what happens.

    python tools/fuzz.py                  # 8,000 damaged files
    python tools/fuzz.py --inputs 500     # as in the tests
    python tools/fuzz.py --inputs 500 --reader dicom --reader study

Each file is read in a process of its own, with limits of memory and time. What happens is one of:

- `refused`: an error of the project, which names the cause;
- `same`: the answer of the whole file;
- `other`: another answer, where the format has no checksum that could tell;
- `wrong`: another answer, where it has one;
- `traceback`, `hang`, `memory`: any other exception, more than 30 s, more than 2 GiB;
- `harm`: a file outside the reader's own folder was written, changed or removed.

The last five are faults: the command exits with 1 and keeps the files that caused them.
"""

import argparse
import gc
import hashlib
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import stat
import sys
import tarfile
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import nibabel
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file

from weaklesion.data.archives import extract
from weaklesion.data.loaders import lits
from weaklesion.data.loaders.deeplesion_table import parse_row, read_table
from weaklesion.data.manifest import read_manifest
from weaklesion.data.patches import Sample
from weaklesion.dicom.importing import import_export
from weaklesion.dicom.phantom import make_export
from weaklesion.errors import DataError
from weaklesion.exporting.onnx_form import DIGEST, ONNX_INPUTS, ONNX_OUTPUTS, OPSET
from weaklesion.marks.images import read_picture
from weaklesion.marks.table import Mark, read_marks
from weaklesion.models import build_model
from weaklesion.prediction.network import load_network
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.report.plan_study import merged_config
from weaklesion.segment.crops import open_mark
from weaklesion.segment.journal import Journal
from weaklesion.segment.predictor import load_predictor
from weaklesion.study import arms
from weaklesion.study.schema import check_schema
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.study import Study
from weaklesion.study.trained_on import TrainedOn
from weaklesion.support.files import file_digest
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training.checkpoints import load_last, save_last

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ("wrong", "traceback", "hang", "memory", "harm")
MOST_SECONDS = 30
MOST_BYTES = 2 * 2**30
WINDOW = (-160.0, 240.0)
ENDS = np.array([[8.0, 12.0], [24.0, 12.0], [16.0, 6.0], [16.0, 18.0]])
TOKENS = (
    b"../", b"=1+1", b"nan", b"inf", b"1e309", b"-1", b"0", b"1_0", b"\0", b"\xff\xfe", b";", b"\t",
    b",,,", b"\n", b'"', b"{", b"[", b"&a *a", b"99999999999999999999", b"\xc3\xa9",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """A kind of file and how the project reads it.

    Attributes:
        file: name of the file that is damaged, in a folder that `make` fills.
        make: fills a folder with valid files.
        read: takes that folder, and another one to write to, and returns the answer as bytes; None
            if the file was refused without an error.
        checked: whether the format has a checksum of all that makes the answer.
    """

    file: str
    make: Callable[[Path], None]
    read: Callable[[Path, Path], bytes | None]
    checked: bool = False


def _levels() -> np.ndarray:
    yy, xx = np.mgrid[:24, :32]
    inside = np.hypot(yy - 12, (xx - 16) / 1.3) < 7
    noise = np.random.default_rng(0).normal(0, 6, (24, 32))
    return np.where(inside, 90.0, 170.0) + noise


def _make_picture(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        levels = _levels().clip(0, 255).astype(np.uint8)
        Image.fromarray(levels).convert("RGB").save(folder / f"x{suffix}")

    return make


def _make_volume(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        voxels = np.stack([_levels().T - 100] * 3, axis=-1).astype(np.int16)
        image = nibabel.Nifti1Image(voxels, np.diag([0.8, 0.8, 5.0, 1.0]))
        image.header.set_xyzt_units("mm")
        nibabel.save(image, folder / f"x{suffix}")

    return make


def _read_picture(suffix: str) -> Callable[[Path, Path], bytes]:
    def read(folder: Path, _: Path) -> bytes:
        number = 1 if ".nii" in suffix else None
        mark = Mark(2, "m", folder / f"x{suffix}", number, ENDS, None)
        picture = read_picture(mark, WINDOW)
        return picture.levels.tobytes() + repr(picture.spacing).encode()

    return read


def _make_marks(folder: Path) -> None:
    names = ",".join(["id,image,slice", *RECIST_COLUMNS])
    ends = ",".join(f"{value:g}" for value in ENDS.ravel())
    rows = [f"m{number},x{number}.png,,{ends}" for number in range(3)]
    (folder / "marks.csv").write_text("\n".join([names, *rows]) + "\n")


def _read_marks(folder: Path, _: Path) -> bytes:
    marks, refused = read_marks(folder / "marks.csv")
    return repr([[mark.id, mark.points.tolist()] for mark in marks] + refused).encode()


def _make_archive(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        entries = {f"f{number}": os.urandom(700) for number in range(3)}
        if name.endswith("zip"):
            with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
                for entry, content in entries.items():
                    archive.writestr(entry, content)
            return
        with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as tar:
            for entry, content in entries.items():
                told = tarfile.TarInfo(entry)
                told.size = len(content)
                tar.addfile(told, io.BytesIO(content))

    return make


def _read_archive(name: str) -> Callable[[Path, Path], bytes]:
    def read(folder: Path, out: Path) -> bytes:
        return b"".join(path.read_bytes() for path in extract(folder / name, out / "x"))

    return read


def _make_lits(folder: Path) -> None:
    hounsfield = np.stack([_levels().T] * 2, axis=-1).astype(np.int16)
    labels = (hounsfield < 130).astype(np.uint8) * 2
    for name, voxels in (("volume", hounsfield), ("segmentation", labels)):
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{name}-1.nii.gz")


def _read_lits(folder: Path, _: Path) -> bytes:
    config = read_yaml(ROOT / "config.yaml")
    switches = config["protocols"]["corrected"]["patches"]
    settings = lits.Settings(
        **switches["lits"] | {"side_px": 64, "on_bad_sample": "error", "limit": {}}
        | {"window_hu": tuple(switches["lits"]["window_hu"]), "published_split": None}
    )  # fmt: skip
    files = 1, str(folder / "volume-1.nii.gz"), str(folder / "segmentation-1.nii.gz")
    items = lits.read_volume(files, settings=settings)
    return b"".join(item.image.tobytes() for item in items if isinstance(item, Sample))


def _make_lesions(folder: Path) -> None:
    header = (
        "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,"
        "Bounding_boxes,Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,"
        "Possibly_noisy,Slice_range,Spacing_mm_px_,Image_size,DICOM_windows,Patient_gender,"
        "Patient_age,Train_Val_Test"
    )
    row = (
        '000001_01_01_109.png,1,1,1,109,"233.5, 95.0, 234.2, 106.7, 226.9, 100.9, 241.5, 100.5",'
        '"221.9, 90.0, 246.5, 111.7","11.8, 14.6","0.45, 0.33, 0.5",3,0,"103, 115",'
        '"0.488281, 0.488281, 5","512, 512","-175, 275",F,62,3'
    )
    (folder / "DL_info.csv").write_text("\n".join([header, row, row.replace("109", "110")]) + "\n")


def _read_lesions(folder: Path, _: Path) -> bytes:
    table = folder / "DL_info.csv"
    return repr([parse_row(row, table) for row in read_table(table)]).encode()


def _make_manifest(folder: Path) -> None:
    rows = ["name,url,bytes,md5,sha256", f"a.zip,a.zip,10,{'a' * 32},{'b' * 64}"]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def _read_manifest(folder: Path, _: Path) -> bytes:
    return repr(read_manifest(folder / "manifest.csv")).encode()


def _make_run(folder: Path) -> None:
    config = read_yaml(ROOT / "config.yaml")
    chosen = arms.training_settings(config, "ham10k", "source", "prompted")
    chosen["prompt"] |= {"max_amplitude": 1.0}
    told = asdict(TrainingSettings(**chosen))
    (folder / "run.json").write_text(json.dumps({"settings": told}))
    torch.manual_seed(0)
    model = build_model(told["model"], encoder=told["encoder"], options=told["network"])
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")


def _read_run(folder: Path, _: Path) -> bytes:
    files = folder / "model.safetensors", folder / "run.json"
    model, settings = load_network(*files, torch.device("cpu"))
    return repr(settings).encode() + next(model.parameters()).detach().numpy().tobytes()


def _make_last(folder: Path) -> None:
    save_last(folder / "last.pt", "digest", {"epoch": 3, "weights": torch.arange(200.0)})


def _read_last(folder: Path, _: Path) -> bytes | None:
    state = load_last(folder / "last.pt", "digest")
    return None if state is None else state["weights"].numpy().tobytes()


def _make_network(folder: Path) -> None:
    """Write an ONNX file of the form of an export, almost without weights, and its `run.json`."""
    _make_picture(".png")(folder)
    chosen = arms.training_settings(read_yaml(ROOT / "config.yaml"), "ham10k", "source", "prompted")
    chosen["prompt"] |= {"max_amplitude": 1.0}
    data = TrainedOn(
        licence="CC0-1.0", modality="CT", channels="grey", marks="drawn", window_hu=WINDOW
    )
    (folder / "run.json").write_text(json.dumps({"settings": chosen, "data": data.as_json()}))
    kinds = {"tensor(uint8)": onnx.TensorProto.UINT8, "tensor(float)": onnx.TensorProto.FLOAT}
    inputs, (output,) = (
        [
            helper.make_tensor_value_info(
                name, kinds[kind], [f"{name}{axis}" if size is None else size
                                    for axis, size in enumerate(sizes)])
            for name, (kind, sizes) in form.items()
        ]
        for form in (ONNX_INPUTS, ONNX_OUTPUTS)
    )  # fmt: skip
    nodes = [
        helper.make_node("Unsqueeze", ["rows", "of_rows"], ["y"]),
        helper.make_node("Unsqueeze", ["columns", "of_columns"], ["x"]),
        helper.make_node("Add", ["x", "y"], ["xy"]),
        helper.make_node("ReduceSum", ["mark"], ["sum"], keepdims=0),
        helper.make_node("Expand", ["sum", "sides"], ["square"]),
        helper.make_node("Conv", ["square", "kernel"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMax", ["map"], ["level"], keepdims=0),
        helper.make_node("Add", ["xy", "level"], ["logits"]),
    ]
    constants = {
        "of_rows": np.array([0, 2]),
        "of_columns": np.array([0, 1]),
        "sides": np.array([1, 1, 9, 9]),
        "kernel": np.full((1, 1, 3, 3), 0.1, np.float32),
    }
    weights = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "main", inputs, [output], weights)
    sets = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=10), folder / "model.onnx")


def _read_network(folder: Path, _: Path) -> bytes:
    path = folder / "run.json"
    digest = file_digest(folder / "model.onnx")  # as if somebody had exported the damaged file
    path.write_text(json.dumps(json.loads(path.read_text()) | {DIGEST: digest}))
    os.environ |= {"WEAKLESION_MAX_ONNX_BYTES": str(2**30), "WEAKLESION_MAX_ONNX_SECONDS": "15"}
    network = load_predictor(folder, threads=1)
    opened = open_mark(_mark_in(folder), network.trained, network.data, WINDOW)
    return network.logits([opened.crop])[0].tobytes()


def _mark_in(folder: Path) -> Mark:
    return Mark(2, "m", folder / "x.png", None, ENDS, None)


def _make_journal(folder: Path) -> None:
    _make_picture(".png")(folder)
    for file in ("masks/m.png", "overlays/m.png"):
        (folder / file).parent.mkdir()
        shutil.copy(folder / "x.png", folder / file)
    journal = Journal(folder, [_mark_in(folder)], ["network"])
    journal.note([{"id": "m", "mask": "masks/m.png", "overlay": "overlays/m.png", "area_px": 7}])


def _read_journal(folder: Path, _: Path) -> bytes | None:
    # the keys hold the path of the image, which is another one here, as of marks that are refused
    journal = Journal(folder, [], ["network"])
    rows = [entry["row"] for entry in journal.earlier.values()]
    journal.forget(journal.earlier)
    return repr(rows).encode() if rows else None


def _make_study(folder: Path) -> None:
    shutil.copy(ROOT / "workflow/studies/demo.yaml", folder / "study.yaml")


def _read_study(folder: Path, _: Path) -> bytes:
    config = merged_config(ROOT, [folder / "study.yaml"], [])
    check_schema(config, ROOT / "workflow/schemas/config.schema.yaml")
    return repr(Study(config, merged_config(ROOT, [], [])).all_runs).encode()


def _make_dicom(folder: Path) -> None:
    make_export(folder / "export")


def _read_dicom(folder: Path, out: Path) -> bytes:
    imported = import_export(folder / "export", out / "import")
    return repr(
        sorted((name, mark.ends.tolist()) for name, mark in imported.marks.items())
    ).encode()


def readers(folder: Path) -> dict[str, Reader]:
    """Return all readers; the folder is for finding the files of the DICOM phantom."""
    found = {
        **{
            f"picture{suffix}": Reader(
                f"x{suffix}", _make_picture(suffix), _read_picture(suffix), suffix == ".png"
            )
            for suffix in (".png", ".jpg", ".tif")
        },
        **{
            f"volume{suffix}": Reader(
                f"x{suffix}", _make_volume(suffix), _read_picture(suffix), suffix == ".nii.gz"
            )
            for suffix in (".nii", ".nii.gz")
        },
        "marks": Reader("marks.csv", _make_marks, _read_marks),
        **{
            name: Reader(name, _make_archive(name), _read_archive(name), name != "a.tar")
            for name in ("a.zip", "a.tar", "a.tar.gz")
        },
        "lits": Reader("volume-1.nii.gz", _make_lits, _read_lits, True),
        "lits labels": Reader("segmentation-1.nii.gz", _make_lits, _read_lits, True),
        "DL_info": Reader("DL_info.csv", _make_lesions, _read_lesions),
        "manifest": Reader("manifest.csv", _make_manifest, _read_manifest),
        "run.json": Reader("run.json", _make_run, _read_run),
        "weights": Reader("model.safetensors", _make_run, _read_run),
        "model.onnx": Reader("model.onnx", _make_network, _read_network),
        "last.pt": Reader("last.pt", _make_last, _read_last, True),
        "journal": Reader("journal.jsonl", _make_journal, _read_journal),
        "study": Reader("study.yaml", _make_study, _read_study),
    }
    _make_dicom(folder)
    files = sorted(path for path in (folder / "export").rglob("*") if path.is_file())
    for number, path in enumerate(files):
        name = str(path.relative_to(folder))
        found[f"dicom {number}"] = Reader(name, _make_dicom, _read_dicom)
    return found


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return a file's bytes, damaged in one of several ways."""
    changed = bytearray(content)
    place = rng.randrange(len(changed) or 1)
    kind = rng.randrange(7)
    if kind == 0 and changed:
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        del changed[place : place + rng.choice((1, 4, 64, 512))]
    elif kind == 3:
        changed[place:place] = rng.randbytes(rng.choice((1, 4, 64)))
    elif kind == 4:
        value = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80"))
        width = rng.choice((1, 2, 4, 8))
        changed[place : place + width] = value * width
    elif kind == 5:
        changed[place:place] = rng.choice(TOKENS)
    else:
        other = rng.randrange(len(changed) or 1)
        changed[place : place + 16] = changed[other : other + 16]
    return bytes(changed)


def _child(reader: Reader, folder: Path, out: Path, answers: Connection) -> None:
    """Read in a process with limits, and send what happened."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, used + MOST_BYTES))
    try:
        answer = reader.read(folder, out)
        told = "refused" if answer is None else hashlib.sha256(answer).hexdigest()
        answers.send((told, ""))
    except DataError as error:
        answers.send(("refused", str(error)))
    except MemoryError:
        answers.send(("memory", traceback.format_exc()))
    except BaseException:
        answers.send(("traceback", traceback.format_exc()))
    os._exit(0)


def outcome(reader: Reader, folder: Path, out: Path) -> tuple[str, str]:
    """Read in a process of its own; return what happened, or the digest of the answer."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=_child, args=(reader, folder, out, sender)
    )
    child.start()
    sender.close()
    try:
        if not receiver.poll(MOST_SECONDS):
            return "hang", f"more than {MOST_SECONDS} s"
        told: tuple[str, str] = receiver.recv()
        return told
    except EOFError:  # killed
        child.join()
        return "memory", f"ended with {child.exitcode}"
    finally:
        child.kill()
        child.join()


def _state(folder: Path, own: Path) -> dict[str, tuple[int, int]]:
    """Return time of change and size of all files outside a reader's own folders."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(place, name) != str(own)]
        for name in files:
            told = os.lstat(os.path.join(place, name))
            if stat.S_ISREG(told.st_mode):
                found[os.path.join(place, name)] = told.st_mtime_ns, told.st_size
    return found


def trials(
    inputs: int, seed: int, work: Path, chosen: Sequence[str] = ()
) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield the reader, what happened, its text, and the damaged bytes of each trial.

    Args:
        inputs: number of trials.
        seed: decides them.
        work: an empty folder.
        chosen: names of readers; all without one.
    """
    torch.set_num_threads(1)  # threads of the parent would hang in a forked child
    gc.freeze()  # or each child would copy all memory to look for garbage
    rng = random.Random(seed)
    (work / "look").mkdir()
    known = readers(work / "look")
    kinds = list(known)
    whole: dict[str, tuple[Path, str]] = {}
    (work / "canary").write_text("untouched")
    # the many files of the DICOM phantom are one kind
    names = [*(kind for kind in kinds if not kind.startswith("dicom")), "dicom"]
    if wrong := set(chosen) - set(names):
        raise SystemExit(f"no such reader: {', '.join(wrong)}. There are {', '.join(names)}.")
    names = [name for name in names if not chosen or name in chosen]
    for _ in range(inputs):
        name = rng.choice(names)
        if name == "dicom":
            name = rng.choice([kind for kind in kinds if kind.startswith("dicom")])
        reader = known[name]
        if name not in whole:
            folder = work / f"whole {kinds.index(name)}"
            folder.mkdir()
            reader.make(folder)
            copy = work / "copy"
            shutil.copytree(folder, copy)
            (work / "first").mkdir()
            told, text = outcome(reader, copy, work / "first")
            shutil.rmtree(copy)
            shutil.rmtree(work / "first")
            if len(told) != 64:
                raise RuntimeError(f"{name}: the whole file is {told}: {text}")
            whole[name] = folder, told
        folder, answer = whole[name]
        own = work / "trial"
        shutil.copytree(folder, own / "in")
        (own / "out").mkdir()
        content = damaged((folder / reader.file).read_bytes(), rng)
        (own / "in" / reader.file).write_bytes(content)
        before = _state(work, own)
        told, text = outcome(reader, own / "in", own / "out")
        if _state(work, own) != before:
            told, text = "harm", "files outside the reader's folder changed"
        elif len(told) == 64:
            told = "same" if told == answer else "wrong" if reader.checked else "other"
        shutil.rmtree(own)
        yield name.split()[0] if name.startswith("dicom") else name, told, text, content


def main() -> None:
    """Run the trials and print the tally."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="for faults")
    parser.add_argument("--reader", action="append", default=[], help="only these; may be repeated")
    options = parser.parse_args()
    tally: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as work:
        found = trials(options.inputs, options.seed, Path(work), options.reader)
        for name, told, text, content in found:
            tally[name, told] += 1
            if told in FAULTS:
                options.keep.mkdir(exist_ok=True)
                digest = hashlib.sha256(content).hexdigest()[:12]
                (options.keep / f"{name.replace(' ', '-')}-{told}-{digest}").write_bytes(content)
                cause = text.strip().splitlines() or ["another answer"]
                print(f"{name}: {told}: {cause[-1]}", flush=True)
    classes = ("refused", "same", "other", *FAULTS)
    print(f"{'reader':14s}" + "".join(f"{kind:>11s}" for kind in classes))
    for name in dict.fromkeys(name for name, _ in sorted(tally)):
        print(f"{name:14s}" + "".join(f"{tally[name, kind]:11d}" for kind in classes))
    sums = {kind: sum(tally[pair] for pair in tally if pair[1] == kind) for kind in classes}
    print(f"{'all':14s}" + "".join(f"{sums[kind]:11d}" for kind in classes))
    sys.exit(any(sums[kind] for kind in FAULTS))


if __name__ == "__main__":
    main()

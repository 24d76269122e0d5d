"""The commands about trained runs: `weaklesion describe-run` and `weaklesion export`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from weaklesion.cli.errors import refusals


class Modality(Enum):
    """What makes images, as in the configuration."""

    dermoscopy = "dermoscopy"
    ct = "CT"
    mr = "MR"
    pet = "PET"
    ultrasound = "ultrasound"
    xray = "X-ray"
    mammography = "mammography"
    photograph = "photograph"
    unknown = "unknown"


class Channels(Enum):
    """Order of the colours, or grey."""

    rgb = "rgb"
    bgr = "bgr"
    grey = "grey"


class Marks(Enum):
    """What marks are."""

    hull_ellipse = "hull_ellipse"
    recist = "recist"
    drawn = "drawn"


class Format(Enum):
    """Forms of an exported network."""

    safetensors = "safetensors"
    onnx = "onnx"
    pt2 = "pt2"
    monai = "monai"


def describe_run(
    run: Annotated[
        Path, typer.Argument(help="Folder of a trained run: runs/<arm>/seed-<n>.", exists=True)
    ],
    modality: Annotated[Modality | None, typer.Option(help="Modality of the images.")] = None,
    channels: Annotated[
        Channels | None, typer.Option(help="Order of the colours, or grey.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of images and marks, as text.")
    ] = None,
    marks: Annotated[
        Marks | None,
        typer.Option(
            help="How the marks were made: axes of the ellipse fitted to a mask's hull, RECIST"
            " diameters of a mask, or drawn by people."
        ),
    ] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Hounsfield units that became black and white; required for CT."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Origin of the files, as text.")] = None,
    spacing_mm: Annotated[
        tuple[float, float] | None, typer.Option(help="Smallest and largest mm per px.")
    ] = None,
    long_px: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Shortest and longest long diameter of the training marks, px."),
    ] = None,
    long_mm: Annotated[tuple[float, float] | None, typer.Option(help="The same in mm.")] = None,
    patches: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the training patches, whose sizes are measured. Default: the patches"
            " of the run's own study, if they still exist."
        ),
    ] = None,
) -> None:
    """Record or correct what a network was trained on, in its run.json.

    Values that are not given stay as they are. `weaklesion segment` refuses a run that does not say
    what its network was trained on.
    """
    values = {
        "modality": modality and modality.value,
        "channels": channels and channels.value,
        "licence": licence,
        "marks": marks and marks.value,
        "window_hu": window,
        "source": source,
        "spacing_mm": spacing_mm,
        "long_px": long_px,
        "long_mm": long_mm,
    }
    with refusals():
        from weaklesion.segment.describing import write_trained_on  # slow to import

        described = write_trained_on(run, values, patches)
    typer.echo(f"{run / 'run.json'}: trained on {described.named()}; licence {described.licence}")


def export(
    run: Annotated[
        Path, typer.Argument(help="Folder of a trained run: runs/<arm>/seed-<n>.", exists=True)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; must be new or empty.")],
    form: Annotated[
        list[Format] | None,
        typer.Option(
            "--format", help="Format; repeatable. Default: all. onnx needs the extra `export`."
        ),
    ] = None,
) -> None:
    """Export a network that is given the mark to safetensors, ONNX, torch.export and MONAI.

    Each format carries the licence of the training data, and a line that says what may not be done
    with the network.
    """
    with refusals():
        from weaklesion.exporting.export import FORMATS, export_run  # slow to import
        from weaklesion.exporting.terms import terms_of_use
        from weaklesion.study.trained_on import read_trained_on

        written = export_run(run, out, tuple(one.value for one in form or []) or FORMATS)
        terms = terms_of_use(read_trained_on(run / "run.json"))
    for path in written.values():
        typer.echo(path)
    typer.echo(terms)

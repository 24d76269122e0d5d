"""The command `weaklesion`. Only `plan` reads the workflow."""

import logging
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import weaklesion
from weaklesion.cli import npz, runs, uls23
from weaklesion.cli.errors import refusals
from weaklesion.errors import DataError
from weaklesion.support.systems import refuse_windows

if TYPE_CHECKING:
    from weaklesion.segment.settings import SegmentSettings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

app.command()(runs.describe_run)
app.command()(runs.export)
app.command()(npz.npz)
app.command()(npz.npz_masks)
app.command()(uls23.uls23)
app.command()(uls23.uls23_masks)


class Units(Enum):
    """Units of coordinates."""

    px = "px"
    mm = "mm"


def _print_version(asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked:
        typer.echo(weaklesion.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Segment lesions from RECIST marks. The workflow itself is run with `snakemake`."""
    with refusals():
        refuse_windows()


@app.command()
def segment(
    model: Annotated[
        Path,
        typer.Option(
            help="Folder of a trained run (runs/<arm>/seed-<n>) or of an exported network, or its"
            " model.onnx, which runs without PyTorch."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for masks, overlays and measurements.")],
    marks: Annotated[
        Path | None, typer.Option(help="Table of marks (CSV): images and ends of both diameters.")
    ] = None,
    dicom: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a DICOM export. The marks are those in its SR, GSPS and AIM, or with"
            " --marks those of the table."
        ),
    ] = None,
    gate: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="If a mask's own shape overlaps the mark's by less than this (intersection over"
            " union), the mark's shape is returned instead.",
        ),
    ] = 0.8,
    consistent: Annotated[
        bool, typer.Option(help="Reshape each mask so that its own shape becomes the mark's.")
    ] = False,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Hounsfield units that become black and white in NIfTI and 16-bit PNG. Default:"
            " those of the network's training. For CT or an unknown modality, others are refused."
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OURS=YOURS,...",
            help="Names of your table's columns, such as long_a_x=X1,long_a_y=Y1. Repeatable.",
        ),
    ] = None,
    units: Annotated[
        Units,
        typer.Option(
            help="Unit of the coordinates. mm count from the centre of the first pixel, along its"
            " row and column, and are converted to px with the image's spacing."
        ),
    ] = Units.px,
    first_slice: Annotated[
        int,
        typer.Option(min=0, max=1, help="Number that your table gives to a volume's first slice."),
    ] = 0,
    as_given: Annotated[
        bool,
        typer.Option(
            "--as-given",
            help="Use the table as it is, even if its marks fit their images clearly better when"
            " read in another way, such as with x and y exchanged.",
        ),
    ] = False,
    single_diameters: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help="With --dicom: use marks of one diameter, and add a short one of RATIO times its"
            " length across its middle. Without it, such marks are refused.",
        ),
    ] = None,
    levels: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="With --dicom: values that become black and white in grey images other than CT,"
            " or white and black in MONOCHROME1. Default: each image's stored window."
        ),
    ] = None,
    rtstruct: Annotated[
        bool, typer.Option(help="With --dicom: also write outlines as RT Structure Sets.")
    ] = False,
    volume: Annotated[
        bool,
        typer.Option(
            "--volume",
            help="Also segment each lesion in three dimensions, on a NIfTI volume or, with --dicom,"
            " on a series of parallel slices.",
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Number of CPU threads.")] = 2,
) -> None:
    """Turn RECIST marks on your own images into masks and measurements.

    An interrupted call resumes where it stopped. Marks that cannot be used are listed in
    refused.csv with the cause; all others are segmented.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with refusals():
        from weaklesion.marks.columns import parse_columns
        from weaklesion.segment.run import segment_marks  # slow to import
        from weaklesion.segment.settings import SegmentSettings
        from weaklesion.segment.training_range import count_outside
        from weaklesion.segment.visibility import count_not_visible

        settings = SegmentSettings(
            gate=gate,
            consistent=consistent,
            window_hu=window,
            units=units.value,
            columns=parse_columns(columns or []),
            first_slice=first_slice,
            as_given=as_given,
            threads=threads,
            volume=volume,
        )
        if dicom is not None:
            counts = _segment_dicom(
                model, dicom, marks, out, settings, single_diameters, levels, rtstruct=rtstruct
            )
        elif single_diameters is not None or levels is not None or rtstruct:
            raise DataError(
                "segment: --single-diameters, --levels and --rtstruct apply to --dicom only. Leave"
                " them out, or give the folder of an export."
            )
        elif marks is not None:
            counts = segment_marks(model_dir=model, marks_csv=marks, out_dir=out, settings=settings)
        else:
            raise DataError("segment: give --marks, --dicom, or both.")
    replaced = counts["ellipse"] + counts["ends"]
    typer.echo(
        f"{counts['network']} marks segmented by the network; {replaced} fell back to the mark's"
        " own shape, because the network's mask disagreed with the mark;"
        f" {counts['refused']} refused."
    )
    if counts["empty"]:
        typer.echo(
            f"The network found no lesion for {counts['empty']} marks; their masks are empty."
        )
    answered = counts["network"] + replaced + counts["empty"]
    not_visible = count_not_visible(out / "measurements.csv")
    if not_visible:
        typer.echo(
            f"Less contrast in the image than is usual: {not_visible} of {answered} marks."
            " Check these first: are they marks of these images, and is the network meant for this"
            " kind of image?"
        )
    outside = count_outside(out / "measurements.csv")
    if outside:
        typer.echo(
            f"{outside} of {answered} marks lie outside what the network was trained on:"
            " outside_training in measurements.csv says how."
        )
    typer.echo(f"Open {out / 'index.html'}. The numbers are in measurements.csv and refused.csv.")
    if not answered:
        raise typer.Exit(1)


def _segment_dicom(
    model: Path,
    folder: Path,
    marks: Path | None,
    out: Path,
    settings: "SegmentSettings",
    ratio: float | None,
    levels: tuple[float, float] | None,
    *,
    rtstruct: bool,
) -> dict[str, int]:
    """Segment the marks of a DICOM export, or of a table on its images; return their numbers."""
    if settings.units != "px":
        raise DataError(
            "segment: --units mm cannot be used with --dicom. Leave it out, and give px."
        )
    if marks is None and (settings.columns or settings.first_slice):
        raise DataError(
            "segment: --columns and --first-slice apply to --marks only. Leave them out, or give"
            " a table of marks."
        )
    try:
        from weaklesion.dicom.importing import ImportSettings
        from weaklesion.segment.of_export import segment_export
    except ModuleNotFoundError as error:
        raise DataError(
            f"segment: --dicom needs {error.name}: pip install 'weaklesion[dicom]'."
        ) from error
    return segment_export(
        model_dir=model,
        export_dir=folder,
        out_dir=out,
        settings=replace(settings, columns={}, first_slice=0),  # of the table, not of its import
        import_settings=ImportSettings(
            short_of_long=ratio,
            levels=levels,
            marks_csv=marks,
            columns=settings.columns,
            first_slice=settings.first_slice,
        ),
        structure_sets=rtstruct,
    )


@app.command()
def manifest(
    folder: Annotated[
        Path, typer.Argument(help="Folder of your own files.", exists=True, file_okay=False)
    ],
) -> None:
    """Write manifest.csv with the size and checksums of every file in a folder."""
    with refusals():
        from weaklesion.data.manifest import write_manifest

        written = write_manifest(folder, folder / "manifest.csv")
    typer.echo(f"{folder / 'manifest.csv'}: {len(written)} files")


@app.command()
def plan(
    studies: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="STUDY",
            help="Configuration files, such as workflow/studies/demo.yaml; none for the paper.",
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE...", help="Settings as Snakemake takes them: 'seeds=[1, 2]'."
        ),
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="Folder that contains results/ and resources/.")
    ] = Path(),
) -> None:
    """Estimate jobs, hours, downloads and disk space of a study; show the time spent so far.

    Nothing is run and nothing is downloaded. The workflow's files are those of the working
    directory if it has them, else those of the clone or wheel that weaklesion was installed from.
    """
    words = studies or []
    # `--config a=1 b=2`: an option takes one value, so the others arrive among the studies
    settings = [str(word) for word in words if "=" in str(word) and not word.exists()]
    files = [word for word in words if str(word) not in settings]
    with refusals():
        from weaklesion.report.plan_study import plan_study

        text = plan_study(files, [*(config or []), *settings], directory)
    typer.echo(text)

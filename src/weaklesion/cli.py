"""The command `weaklesion`: what is of use outside the workflow."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from weaklesion.errors import DataError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Lesions from RECIST marks. The workflow itself is run with `snakemake`."""


@app.command()
def segment(
    model: Annotated[Path, typer.Option(help="Folder of a trained run: runs/<arm>/seed-<n>.")],
    marks: Annotated[Path, typer.Option(help="CSV: image and the ends of both diameters.")],
    out: Annotated[Path, typer.Option(help="Folder for masks, overlays and measurements.")],
    gate: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Overlap of the network's own ellipse with the mark's, below which the mark's"
            " ellipse is returned.",
        ),
    ] = 0.8,
    consistent: Annotated[
        bool, typer.Option(help="Move each mask so that its ellipse is the mark's.")
    ] = False,
    window: Annotated[
        tuple[float, float], typer.Option(help="Hounsfield units of NIfTI and 16-bit PNG.")
    ] = (-160.0, 240.0),
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Turn RECIST marks on images of your own into masks and measurements.

    A call that was stopped goes on where it was. A mark that cannot be used is refused, with the
    cause in refused.csv, and the rest goes through.
    """
    from weaklesion.segment.run import SegmentSettings, segment_marks  # slow to import

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        counts = segment_marks(
            model_dir=model,
            marks_csv=marks,
            out_dir=out,
            settings=SegmentSettings(
                gate=gate, consistent=consistent, window_hu=window, threads=threads
            ),
        )
    except (DataError, OSError) as error:
        cure = (
            "" if isinstance(error, DataError) else ". Check permissions and space; run it again."
        )
        typer.echo(f"weaklesion: {error}{cure}", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        f"{counts['network']} marks segmented. {counts['ellipse']} fell back to the mark's ellipse"
        " because the network's mask disagreed with the mark."
        f" {counts['refused']} refused."
    )
    if counts["empty"]:
        typer.echo(
            f"The network found no lesion for {counts['empty']} marks; their masks are empty."
        )
    typer.echo(f"See measurements.csv and refused.csv in {out}.")
    if not counts["network"] + counts["ellipse"] + counts["empty"]:
        raise typer.Exit(1)


@app.command()
def manifest(
    folder: Annotated[Path, typer.Argument(help="Folder of files of your own.", exists=True)],
) -> None:
    """Write manifest.csv, with the size and digests of every file of a folder."""
    from weaklesion.data.manifest import write_manifest

    try:
        written = write_manifest(folder, folder / "manifest.csv")
    except DataError as error:
        typer.echo(f"weaklesion: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{folder / 'manifest.csv'}: {len(written)} files")

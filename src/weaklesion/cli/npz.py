"""The commands of `weaklesion` for `.npz` volumes that draw marks, and for their masks."""

from pathlib import Path
from typing import Annotated

import typer

from weaklesion.cli.errors import refusals


def npz(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Volumes (.npz) with imgs, recist and spacing.", exists=True
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for marks.csv and its images.")],
    single_diameters: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help="Use lesions of one line, and add a short diameter of RATIO times its length"
            " across its middle.",
        ),
    ] = None,
    volume: Annotated[
        bool,
        typer.Option("--volume", help="Write whole volumes, as NIfTI, for segment --volume."),
    ] = False,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="With --volume and imgs of uint8: Hounsfield units that became 0 and 255."
        ),
    ] = None,
) -> None:
    """Convert .npz volumes with drawn marks to a table of marks and images for segment."""
    with refusals():
        from weaklesion.marks.npz import write_marks_of_npz

        taken, refused = write_marks_of_npz(
            files, out, short_of_long=single_diameters, volume=volume, window_hu=window
        )
    typer.echo(f"{out / 'marks.csv'}: {taken} marks; {refused} refused, with causes in refused.csv")


def npz_masks(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="The volumes that weaklesion npz read.", exists=True),
    ],
    masks: Annotated[Path, typer.Option(help="Folder that segment --volume wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for one .npz per volume, with segs.")],
    drawn: Annotated[
        Path | None,
        typer.Option(
            help="Folder that weaklesion npz wrote. Needed if it refused all marks, so that there"
            " was nothing to segment: all masks are then empty."
        ),
    ] = None,
) -> None:
    """Convert the masks of segment --volume to .npz, on the grids of the original volumes."""
    with refusals():
        from weaklesion.segment.npz_masks import write_npz_masks

        written, lesions = write_npz_masks(files, masks, out, drawn_dir=drawn)
    typer.echo(f"{out}: {written} files with {lesions} lesions")

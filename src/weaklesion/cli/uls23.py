"""The commands of `weaklesion` for the stacked volumes of the challenge ULS23."""

from pathlib import Path
from typing import Annotated

import typer

from weaklesion.cli.errors import refusals


def uls23(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="The challenge's input: images and spacings.", exists=True
        ),
    ],
    marks: Annotated[
        Path,
        typer.Option(help="Table of marks (CSV): voi, slice and the four ends, px.", exists=True),
    ],
    out: Annotated[Path, typer.Option(help="Folder for marks.csv and its volumes.")],
) -> None:
    """Convert a ULS23 stack to NIfTI volumes and a table of marks for segment --volume."""
    with refusals():
        from weaklesion.marks.uls23 import write_marks_of_stack

        taken, refused = write_marks_of_stack(folder, marks, out)
    typer.echo(f"{out / 'marks.csv'}: {taken} marks; {refused} refused, with causes in refused.csv")


def uls23_masks(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="The folder that weaklesion uls23 read.", exists=True
        ),
    ],
    masks: Annotated[Path, typer.Option(help="Folder that segment --volume wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the challenge's output.")],
    drawn: Annotated[
        Path | None,
        typer.Option(
            help="Folder that weaklesion uls23 wrote. Needed if it refused all marks, so that there"
            " was nothing to segment: all masks are then empty."
        ),
    ] = None,
) -> None:
    """Convert the masks of segment --volume to the stack that ULS23 evaluates."""
    with refusals():
        from weaklesion.segment.uls23_masks import write_stack_of_masks

        path, lesions = write_stack_of_masks(folder, masks, out, drawn_dir=drawn)
    typer.echo(f"{path}: {lesions} lesions")

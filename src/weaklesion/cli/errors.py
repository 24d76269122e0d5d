"""What the commands of `weaklesion` print of errors that are expected."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from weaklesion.errors import DataError
from weaklesion.support.extras import EXTRAS, not_installed


@contextmanager
def refusals() -> Iterator[None]:
    """Print an expected error instead of a traceback, and exit with 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        typer.echo(not_installed(package, "weaklesion"), err=True)
        raise typer.Exit(1) from error
    except (DataError, OSError) as error:
        cure = (
            "" if isinstance(error, DataError) else ". Check permissions and space; run it again."
        )
        typer.echo(f"weaklesion: {error}{cure}", err=True)
        raise typer.Exit(1) from error

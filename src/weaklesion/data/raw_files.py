"""Download what a manifest lists, as the workflow does it: one file per job."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from weaklesion.download import fetch, fetch_members, row_of


def download_file(
    *,
    row: Mapping[str, str] | None,
    destination: str | Path,
    manifest: str | Path | None = None,
    file: str,
) -> None:
    """Fetch one file of a manifest and verify it.

    Args:
        row: the file's row, of a manifest that the workflow ships; None reads it from `manifest`.
        destination: written: the file.
        manifest: a manifest that the workflow made, such as a phantom's.
        file: the file's name in `manifest`.

    Raises:
        DataError: if the manifest lacks the file, or the file cannot be fetched or verified.
    """
    fetch(_row(row, manifest, file), destination)


def fetch_slices(
    *,
    row: Mapping[str, str] | None,
    table_csv: str | Path,
    folder: str | Path,
    needed_members: Callable[[Iterable[str], str | Path], list[str]],
    manifest: str | Path | None = None,
    file: str,
) -> None:
    """Fetch one archive, keep the slices that the lesions of a table need, and delete it.

    Args:
        row: the archive's row, as for `download_file`.
        table_csv: the dataset's table of lesions.
        folder: written: the slices.
        needed_members: which of some entries of the archive the table needs.
        manifest: a manifest that the workflow made.
        file: the archive's name in `manifest`.

    Raises:
        DataError: as `download_file`.
    """
    folder = Path(folder)
    archive = folder.parent / "fetching" / folder.name
    fetch_members(
        _row(row, manifest, file), archive, folder, lambda names: needed_members(names, table_csv)
    )


def _row(
    row: Mapping[str, str] | None, manifest: str | Path | None, file: str
) -> Mapping[str, str]:
    if row is not None:
        return row
    assert manifest is not None
    return row_of(manifest, file)

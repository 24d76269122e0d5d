"""The files of images and masks: whether they are there, and of a kind that is read."""

import os
import unicodedata
from pathlib import Path

from weaklesion.marks.table import BadMarkError, UnreadableError
from weaklesion.marks.volumes import Stamp
from weaklesion.support.reading import refusing


def existing_file(file: Path, kind: str) -> tuple[Path, Stamp]:
    """Return the path of a file, whose name tells its kind even if it is a link, and its stamp."""
    try:
        if not file.is_file():
            stat = file.stat()  # names what is wrong with a link or a folder
            raise UnreadableError(
                f"the {kind} {file} is a folder: name one file; DICOM is not read, convert the"
                " series to .nii.gz with dcm2niix"
                if file.is_dir()
                else f"the {kind} {file} is not a file but a device or pipe (mode {stat.st_mode:o})"
            )
        stat = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableError(f"the {kind} {file} does not exist{other_spelling(file)}") from error
    except (OSError, RuntimeError) as error:  # no permission, an impossible name, a loop of links
        cause = getattr(error, "strerror", None) or error
        raise UnreadableError(f"{file} cannot be opened ({cause})") from error
    return file, (stat.st_mtime_ns, stat.st_size, stat.st_ctime_ns, stat.st_ino)


def other_spelling(file: Path) -> str:
    """Return the hint why a file that a table names is not found; "" if nothing explains it.

    Names of files are not in it, because those of an export may name a patient.
    """
    if "\\" in str(file) and os.path.exists(str(file).replace("\\", "/")):
        return ": write its path with / instead of \\"
    try:
        names = os.listdir(file.parent)
    except OSError:
        return ""
    for name in set(names) - {file.name}:
        if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", file.name):
            return (
                ": its folder has a file of this name in another form of Unicode (é as one"
                " character, or as e with an accent); rename the file, or copy its name"
            )
        if name.casefold() == file.name.casefold():
            return ": its folder has a file of this name with other capital letters"
    if "\\" in file.name:
        return (
            ": its path has \\, as on Windows; write /, and the path from the table's folder or"
            " from / (C:\\ is /mnt/c/ in the Windows Subsystem for Linux)"
        )
    return ""


def refuse_other_scans(path: Path) -> None:
    """Refuse the kinds of scans that are not read, with the way to convert them."""
    if path.suffix.lower() in (".hdr", ".img"):
        raise BadMarkError(
            f"{path.name} is one of a pair of files (Analyze, or NIfTI .hdr and .img), which are"
            " not read: convert them to one .nii.gz, for example with nibabel or dcm2niix"
        )
    if path.suffix.lower() in (".nrrd", ".nhdr", ".mha", ".mhd", ".mgh", ".mgz"):
        raise BadMarkError(
            f"{path.name} is a volume of a kind that is not read: convert it to .nii.gz, for"
            " example with SimpleITK, nibabel or 3D Slicer"
        )
    with (
        refusing(lambda cause: UnreadableError(f"{path.name} cannot be opened ({cause})")),
        path.open("rb") as stream,
    ):
        start = stream.read(132)
    if path.suffix.lower() in (".dcm", ".ima") or start[128:] == b"DICM":
        raise BadMarkError(
            f"{path.name} is DICOM, which is not read: convert the series to .nii.gz with dcm2niix"
        )


def no_image(path: Path, cause: str) -> UnreadableError:
    """Return the refusal of a file that is not a picture."""
    return UnreadableError(f"{path.name} cannot be read as an image ({cause})")


def damaged(path: Path, cause: str) -> UnreadableError:
    """Return the refusal of a volume whose voxels cannot be read."""
    return UnreadableError(f"{path.name} is truncated or damaged ({cause})")

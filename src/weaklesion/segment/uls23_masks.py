"""`weaklesion uls23-masks`: masks of marks as the stack that the challenge ULS23 evaluates."""

import os
from pathlib import Path

import numpy as np
import SimpleITK

from weaklesion.errors import DataError
from weaklesion.marks.uls23 import VOLUME, read_stack
from weaklesion.segment.npz_masks import mask_of, read_measurements
from weaklesion.support.own_files import OwnFiles

MASKS = "images/ct-binary-uls"


def write_stack_of_masks(
    folder: str | Path,
    masks_dir: str | Path,
    out_dir: str | Path,
    *,
    drawn_dir: str | Path | None = None,
) -> tuple[Path, int]:
    """Write the masks of all volumes of a stack, one upon the other; without a mask all are 0.

    A lesion without a volume has its slice's mask.

    Args:
        folder: the challenge's input, as `weaklesion uls23` read it.
        masks_dir: the `--out` folder of `weaklesion segment --volume`.
        out_dir: the challenge's output; `images/ct-binary-uls/<name>.mha` is written, of the
            name, place and spacing of the stack.
        drawn_dir: the `--out` folder of `weaklesion uls23`. If it has no mark, nothing needs to
            have been segmented.

    Returns:
        The file, and the number of lesions with a mask.

    Raises:
        DataError: if there are no masks, one is of no volume of the stack or not on its grid, or
            `out_dir` has a file of the same name that this function did not write.
    """
    stack, volumes = read_stack(folder)
    own, name = OwnFiles(out_dir), f"{MASKS}/{stack.name}"
    own.check_free([name])
    masks = np.zeros(volumes.shape, dtype=np.uint8)
    table, rows = read_measurements(masks_dir, drawn_dir)
    of_volume = {f"voi_{number}": masks[number] for number in range(len(masks))}
    for row in rows:
        mask = mask_of(masks_dir, row)
        if row["id"] not in of_volume or mask.shape != VOLUME:
            raise DataError(
                f"{table}: {row['id']} has a mask of {mask.shape}; the stack {stack.name} has"
                f" {len(masks)} volumes of {VOLUME}. Was it made from this stack?"
            )
        of_volume[row["id"]][mask] = 1
    image = SimpleITK.GetImageFromArray(masks.reshape(-1, *VOLUME[1:]))
    image.CopyInformation(SimpleITK.ReadImage(stack))
    with own.writing(name) as temporary:
        named = temporary.with_name(f"{temporary.name}.mha")  # the suffix says which format
        SimpleITK.WriteImage(image, named, useCompression=True)
        os.replace(named, temporary)
    return own.folder / name, len(rows)

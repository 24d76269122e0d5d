"""Secondary captures: outline and numbers, for archives that show no SEG."""

from collections.abc import Callable
from typing import Any

import cv2
import highdicom as hd
import numpy as np
import pandas as pd

from weaklesion.dicom.geometry import Frame
from weaklesion.dicom.headers import MAKER
from weaklesion.dicom.results import ANSWERS, Lesion, uid_of

LINE_PX, MARGIN_PX = 18, 6  # of the text below a secondary capture


def capture_of(
    lesion: Lesion, source: Any, frame: Frame, number: int, digest: str
) -> Callable[[], Any]:
    """Return a function that makes a secondary capture: overlay and numbers of a lesion.

    Args:
        lesion: the lesion.
        source: header of its image.
        frame: geometry of its frame.
        number: of the capture in its series.
        digest: what the UIDs depend on.
    """

    def make() -> Any:
        drawn = cv2.imread(str(lesion.overlay))
        if drawn is None:
            raise OSError("the overlay is missing")
        lines = capture_text(lesion)
        text = np.zeros((LINE_PX * len(lines) + MARGIN_PX, drawn.shape[1], 3), dtype=np.uint8)
        for i, line in enumerate(lines):
            where = (MARGIN_PX, LINE_PX * (i + 1) - MARGIN_PX // 2)
            cv2.putText(text, line, where, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1,
                        cv2.LINE_AA)  # fmt: skip
        whole = np.concatenate([drawn, text])[..., ::-1]
        directions = directions_of(source, frame)
        capture = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=source,
            pixel_array=np.ascontiguousarray(whole),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=uid_of(digest, "SC series"),
            series_number=9003,
            sop_instance_uid=uid_of(digest, "SC", lesion.id),
            instance_number=number,
            manufacturer=MAKER,
            patient_orientation=directions,
        )
        capture.Laterality = source.get("Laterality")  # of a paired body part; may be empty
        return capture

    return make


def directions_of(header: Any, frame: Frame) -> tuple[str, str]:
    """Return the directions of rows and of columns in the patient, such as `L` and `P`.

    Raises:
        ValueError: if neither the frame nor its image states them.
    """
    vectors = frame.orientation
    if vectors is None:
        stated = [str(each)[:1] for each in header.get("PatientOrientation") or []]
        if len(stated) != 2 or not all(stated):
            raise ValueError("the image's directions in the patient are unknown")
        return stated[0], stated[1]
    letters = []
    for vector in (vectors[:3], vectors[3:]):
        axis = int(np.abs(vector).argmax())
        letters.append(("RL", "AP", "FH")[axis][vector[axis] > 0])
    return letters[0], letters[1]


def capture_text(lesion: Lesion) -> list[str]:
    """Return the lines of text of a secondary capture: numbers, and nothing about the patient."""
    row = lesion.row
    unit = "mm" if pd.notna(row.get("long_mm")) else "px"
    area = row["area_mm2"] if unit == "mm" else row["area_px"]
    diameters = [row[f"given_{which}_{unit}"] for which in ("long", "short")]
    given = " x ".join(f"{each:.1f}" for each in diameters if pd.notna(each))
    lines = [
        f"{MAKER} {lesion.id}: {ANSWERS[row['answer']].removeprefix(MAKER).strip()}",
        f"mask {row[f'long_{unit}']:.1f} x {row[f'short_{unit}']:.1f} {unit},"
        f" area {area:.0f} {unit}2",
        f"mark {given} {unit}, agreement {row['agreement']:.2f}",
    ]
    return [*lines, *([f"volume {row['volume_mm3']:.0f} mm3"] if lesion.solid is not None else [])]

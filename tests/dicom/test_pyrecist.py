"""Response by RECIST 1.1, on random courses, beside that of pyrecist, a package of others."""

import numpy as np
import pandas as pd
import pytest
from pyrecist.assessment import Evaluator
from pyrecist.data import Reader

from weaklesion.dicom.response import Target, Visit, assess

COURSES, LESIONS = 400, 3


def random_courses():
    """Diameters in whole mm, (visits, lesions) per course; every lesion is measured and stays."""
    rng = np.random.default_rng(0)
    for _ in range(COURSES):
        factors = np.cumprod(rng.uniform(0.6, 1.35, (rng.integers(2, 6), LESIONS)), axis=0)
        yield np.maximum(1, (rng.integers(10, 60, LESIONS) * factors).round()).astype(int)


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_every_response_is_that_of_pyrecist(tmp_path):
    courses = list(random_courses())
    rows = [
        {"patient_id": course, "study_date": 20200101 + visit, "measurement": mm,
         "lesion_label_alias": lesion, "lesion_category": "target"}
        for course, diameters in enumerate(courses)
        for visit, lesions in enumerate(diameters)
        for lesion, mm in enumerate(lesions)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "measured.csv", index=False)
    reader = Reader()
    reader.read_measurements(tmp_path / "measured.csv")
    theirs = Evaluator(reader).evaluate_recist().groupby("patient_id")["classification"].agg(list)
    compared = 0
    for course, diameters in enumerate(courses):
        visits = [Visit({str(i): Target((float(mm),)) for i, mm in enumerate(row)})
                  for row in diameters]  # fmt: skip
        ours = [each.target for each in assess(visits)][1:]
        for visit, (one, other) in enumerate(zip(ours, theirs.get(course, []), strict=True)):
            if pd.isna(other):  # it ends with progression
                break
            compared += 1
            assert one == other, (course, visit)
    assert compared == 948  # as docs/how-to/dicom.md says

import numpy as np
import pandas as pd
import pytest

from weaklesion.report.tables.agreement import tabulate_agreement
from weaklesion.scoring.agreement import measure_agreement

REF = np.zeros((20, 20), np.uint8)
REF[5:15, 5:15] = 1


def test_known_answers(tmp_path):
    ids = ["a", "b", "c"]
    table = {"id": ids, "group": ids, "split": ["train", "val", "test"]}
    pd.DataFrame(table).to_csv(tmp_path / "samples.csv", index=False)
    np.save(tmp_path / "reference.npy", np.stack([REF] * 3))
    # the targets' rows are in another order: b is moved by a pixel, c is empty
    pd.DataFrame({"id": ["c", "b", "a"]}).to_csv(tmp_path / "ids.csv", index=False)
    np.save(tmp_path / "t.npy", np.stack([np.zeros_like(REF), np.roll(REF, 1, axis=1), REF]))
    measure_agreement(
        reference_npy=tmp_path / "reference.npy",
        samples_csv=tmp_path / "samples.csv",
        target_npys=[tmp_path / "t.npy"],
        target_ids_csv=tmp_path / "ids.csv",
        agreement_csv=tmp_path / "a.csv",
        dataset="d",
        protocol="p",
    )
    rows = pd.read_csv(tmp_path / "a.csv").set_index("id")
    assert rows["dice"].to_dict() == {"a": 1.0, "b": 0.9, "c": 0.0}
    assert rows.loc["b", "hd95"] == 1
    assert np.isnan(rows.loc["c", "hd95"])
    tabulate_agreement(
        agreement_csvs=[tmp_path / "a.csv"],
        without_reference=["deeplesion"],
        table_csv=tmp_path / "t.csv",
        page_html=tmp_path / "t.html",
    )
    (row,) = pd.read_csv(tmp_path / "t.csv").to_dict("records")
    assert row["dice"] == pytest.approx(100 * 1.9 / 3, rel=1e-4)
    assert (row["n_samples"], row["n_undefined"], row["area_ratio_median"]) == (3, 1, 1)
    page = (tmp_path / "t.html").read_text()
    assert "63.33" in page
    assert "deeplesion" in page

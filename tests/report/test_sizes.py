"""Sizes of masks against those of their references: by hand, by simulation, and bad input."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from weaklesion.errors import DataError
from weaklesion.report.tables.sizes import differences, summarize, tabulate_sizes
from weaklesion.study.checks import check_config
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml


def bar(height, width):
    """A bar of `height` rows and `width` columns in 20 x 20 px."""
    mask = np.zeros((20, 20), dtype=bool)
    mask[2 : 2 + height, 3 : 3 + width] = True
    return mask


def test_differences_by_hand():
    """Crosses of 8 by 4 and 6 by 4 px, from centre to centre: 13 and 11 px."""
    mask, reference = np.zeros((2, 20, 20), dtype=bool)
    mask[10, 4:13] = mask[8:13, 8] = True
    reference[10, 5:12] = reference[8:13, 8] = True
    assert differences(mask, reference, None) == pytest.approx(
        {
            "long_diameter px": 2, "long_diameter %": 200 * 2 / 14,
            "short_diameter px": 0, "short_diameter %": 0,
            "area px²": 2, "area %": 200 * 2 / 24,
        }
    )  # fmt: skip


def test_the_long_diameter_is_that_in_the_patient():
    """Rows of 3 mm: 4 px of rows are longer than 8 px of columns of 1 mm."""
    mask, reference = np.zeros((2, 20, 20), dtype=bool)
    mask[10, 4:13] = mask[8:13, 8] = True
    reference[10, 4:13] = reference[9:12, 8] = True
    found = differences(mask, reference, (3.0, 1.0))
    assert found["long_diameter mm"] == pytest.approx(12 - 8)
    assert found["short_diameter mm"] == pytest.approx(8 - 6)
    assert found["long_diameter %"] == pytest.approx(200 * 4 / 20)
    assert found["area mm²"] == pytest.approx(6)
    assert found["area px²"] == pytest.approx(2)


def test_one_pixel_against_one_pixel_is_no_difference():
    found = differences(bar(1, 1), np.roll(bar(1, 1), 3), None)
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(("mask", "reference"), [(bar(0, 0), bar(3, 4)), (bar(3, 4), bar(0, 0))])
def test_an_empty_mask_has_no_size(mask, reference):
    assert differences(mask, reference, None) == {}


@pytest.fixture
def block(tmp_path):
    """Four samples of three lesions; one reference is empty. Only three are test samples."""
    references = [bar(1, 7), bar(1, 5), bar(0, 0), bar(9, 9)]
    np.save(tmp_path / "reference.npy", np.array(references, dtype=np.uint8))
    samples = pd.DataFrame({"id": ["01", "02", "03", "04"], "group": ["a", "a", "b", "c"]})
    samples["split"] = ["test", "test", "test", "train"]
    samples["mm_per_px_x"] = samples["mm_per_px_y"] = [0.5, 0.5, 0.5, 0.5]
    samples.to_csv(tmp_path / "samples.csv", index=False)
    place = {"dataset": "d", "protocol": "p", "samples": str(tmp_path / "samples.csv")}
    return place | {"reference": str(tmp_path / "reference.npy")}


def run_of(folder, seed, masks, arm="a1"):
    """A run whose masks are named in another order than the samples."""
    place = folder / f"{arm}-{seed}"
    place.mkdir()
    np.save(place / "predictions.npy", np.array(list(masks.values()), dtype=np.uint8))
    pd.DataFrame({"id": list(masks)}).to_csv(place / "predictions.csv", index=False)
    return {
        "dataset": "d", "protocol": "p", "arm": arm, "seed": seed,
        "predictions": str(place / "predictions.npy"), "ids": str(place / "predictions.csv"),
    }  # fmt: skip


def tabulated(runs, block, folder):
    paths = {"table_csv": folder / "sizes.csv", "table_html": folder / "sizes.html"}
    tabulate_sizes(runs=runs, blocks=[block], title="Sizes", **paths)
    table = pd.read_csv(paths["table_csv"])
    return table.set_index(["arm", "size", "unit"]), paths["table_html"].read_text()


def test_masks_are_found_by_id_and_what_has_no_size_is_counted(block, tmp_path):
    """Seed 1 is 2 px too long on 01, seed 2 has no mask there; 02 is exact, 03 has no reference."""
    runs = [
        run_of(tmp_path, 1, {"03": bar(1, 3), "02": bar(1, 5), "01": bar(1, 9)}),
        run_of(tmp_path, 2, {"02": bar(1, 5), "01": bar(0, 0), "03": bar(1, 3)}),
    ]
    table, page = tabulated(runs, block, tmp_path)
    row = table.loc[("a1", "long_diameter", "px")]
    assert list(row[["n_seeds", "n_samples", "n_groups"]]) == [2, 2, 1]
    assert list(row[["n_empty", "n_no_reference"]]) == [1, 2]
    # the lesion's mean is 1 px in seed 1, over 01 and 02, and 0 px in seed 2, over 02
    assert row["mean"] == pytest.approx(0.5)
    assert row["mean_absolute"] == pytest.approx(0.5)
    assert np.isnan(row["limit_low"])  # one lesion
    assert row["unknown"] == "one group"
    assert table.loc[("a1", "long_diameter", "mm"), "mean"] == pytest.approx(0.25)
    assert table.loc[("a1", "area", "mm²"), "mean"] == pytest.approx(0.5 * 0.25)
    assert "Long diameter" in page
    assert "+0.5 px" in page


@pytest.mark.parametrize(
    "others", [{}, {"a1": {"01": bar(1, 9), "02": bar(1, 5), "03": bar(1, 3)}}]
)
def test_an_arm_whose_masks_are_all_empty_is_in_the_table(block, tmp_path, others):
    empty = dict.fromkeys(("01", "02", "03"), bar(0, 0))
    runs = [run_of(tmp_path, 1, masks, arm) for arm, masks in {"acoseg": empty, **others}.items()]
    table, page = tabulated(runs, block, tmp_path)
    assert '<td class="text">acoseg</td><td>1</td><td>0</td><td>3</td>' in page
    rows = table.loc["acoseg"]
    assert set(rows.index.get_level_values("unit")) == {"%"}
    assert set(rows["n_empty"]) == {3}
    assert set(rows["n_samples"]) == {0}
    assert rows["mean"].isna().all()
    assert set(rows["unknown"]) == {"no defined value"}


def test_the_page_says_about_which_mean_the_limits_are(block, tmp_path):
    """0 px on two images of one lesion and 6 px on one of another: 3 px by lesion, 2 px by mask."""
    references = [bar(1, 7), bar(1, 5), bar(1, 3), bar(9, 9)]
    np.save(tmp_path / "reference.npy", np.array(references, dtype=np.uint8))
    masks = {"01": bar(1, 7), "02": bar(1, 5), "03": bar(1, 9)}
    table, page = tabulated([run_of(tmp_path, 1, masks)], block, tmp_path)
    row = table.loc[("a1", "long_diameter", "px")]
    assert row["mean"] == pytest.approx(3)
    assert (row["limit_low"] + row["limit_high"]) / 2 == pytest.approx(3, abs=1e-3)
    assert "standard deviations of a difference about this mean" in " ".join(page.split())


def test_a_mask_that_no_sample_has_is_refused(block, tmp_path):
    with pytest.raises(DataError, match=r"predictions\.csv.*02"):
        tabulated([run_of(tmp_path, 1, {"01": bar(1, 9), "03": bar(1, 3)})], block, tmp_path)


def test_limits_hold_95_percent_of_masks_and_the_interval_the_true_mean():
    """400 tables of 60 lesions whose true difference is +3 % with a deviation of 8 %."""
    rng = np.random.default_rng(5)
    inside, covered = [], []
    for _ in range(400):
        values = 3 + 8 * rng.standard_normal(60)
        masks = pd.DataFrame({"id": range(60), "group": range(60), "long_diameter %": values})
        masks = masks.assign(dataset="d", protocol="p", arm="ellipse", seed=0)
        (row,) = summarize(masks.assign(empty=False, no_reference=False)).to_dict("records")
        new = 3 + 8 * rng.standard_normal(1000)
        inside.append(np.mean((new > row["limit_low"]) & (new < row["limit_high"])))
        covered.append(row["ci_low"] < 3 < row["ci_high"])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_a_dataset_without_dense_masks_is_refused():
    item = {
        "kind": "sizes", "title": "Sizes", "datasets": ["deeplesion"],
        "protocols": ["corrected"], "arms": ["ellipse", "a1"],
    }  # fmt: skip
    config = merge(read_yaml(ROOT / "config.yaml"), {"experiments": {"sizes": item}})
    config["select"]["items"] = ["sizes"]
    with pytest.raises(DataError, match=r"experiments\.sizes: deeplesion has no dense masks"):
        check_config(config)
    item["datasets"][:] = ["ham10k"]
    check_config(config)

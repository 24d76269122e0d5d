import math

import numpy as np
import pandas as pd
import pytest

from weaklesion.data.samples import read_samples, split_ids
from weaklesion.errors import DataError
from weaklesion.metric_names import DIAMETERS, IN_MM
from weaklesion.metrics import dice
from weaklesion.metrics.measures import COMPUTED, OVERLAPS, TOLERANCE_PX
from weaklesion.scoring.catalogue import MEASURES, measure_of
from weaklesion.scoring.diameters import marked_diameters
from weaklesion.scoring.score import score_predictions, spacings_mm, status
from weaklesion.scoring.statistics import resolve_undefined
from weaklesion.support.files import read_array

RUN = {"dataset": "d", "protocol": "p", "arm": "a", "seed": 7}


def score(patches, folder, ids, masks, samples=None):
    np.save(folder / "p.npy", masks)
    pd.DataFrame({"id": ids}).to_csv(folder / "p.csv", index=False)
    score_predictions(
        predictions_npy=folder / "p.npy",
        predictions_csv=folder / "p.csv",
        reference_npy=patches / "reference.npy",
        reference_ids_csv=patches / "samples.csv",
        samples_csv=samples or patches / "samples.csv",
        scores_csv=folder / "scores.csv",
        **RUN,
    )
    return pd.read_csv(folder / "scores.csv", dtype={"id": str})


UNDEFINED_FOR_AN_EMPTY_PREDICTION = {
    "center_error",
    "centroid_error",
    "hausdorff",
    "hausdorff_95",
    "average_hausdorff",
    "average_hausdorff_mean",
    "average_hausdorff_border",
    "average_hausdorff_border_mean",
    "average_surface_distance",
    "long_diameter_error",
    "short_diameter_error",
    "precision",
}


@pytest.fixture
def predicted(patches):
    """Test ids and made-up predictions: the reference moved by two pixels; the first one empty."""
    ids = split_ids(patches / "samples.csv", "test")
    rows = read_samples(patches / "samples.csv").loc[ids, "row"]
    masks = np.roll(read_array(patches / "reference.npy")[rows], 2, axis=2)
    masks[0] = 0
    return ids, masks


def test_every_sample_and_metric_has_a_row_and_a_status(patches, tmp_path, predicted):
    ids, masks = predicted
    scores = score(patches, tmp_path, ids, masks)
    assert len(scores) == len(ids) * len(MEASURES)
    assert (scores[list(RUN)] == pd.Series(RUN)).all(axis=None)
    by_id = scores.drop_duplicates("id").set_index("id")["status"]
    assert by_id[ids[0]] == "empty_prediction"
    assert (by_id[ids[1:]] == "ok").all()
    undefined = scores[scores["value"].isna()]
    assert set(undefined["id"]) == {ids[0]}
    assert set(undefined["metric"]) == UNDEFINED_FOR_AN_EMPTY_PREDICTION
    worst = scores.groupby("metric")["worst"].agg(set)
    assert worst["dice"] == {0.0}
    assert list(worst["hausdorff"]) == pytest.approx([64 * math.sqrt(2)], rel=1e-6)


def test_diameters_of_a_sample_without_a_mark_cannot_be_measured(patches, tmp_path, predicted):
    ids, masks = predicted
    table = pd.read_csv(patches / "samples.csv", dtype={"id": str})
    ends = [f"{axis}_{end}_{along}" for axis in ("long", "short") for end in "ab" for along in "xy"]
    table.loc[table["id"].isin(ids[:2]), ends] = math.nan
    table.to_csv(tmp_path / "samples.csv", index=False)
    scores = score(patches, tmp_path, ids, masks, tmp_path / "samples.csv")
    of_diameter = scores["metric"].isin(DIAMETERS)
    unmarked = scores["id"].isin(ids[:2])  # the first prediction is empty
    assert scores.loc[of_diameter & unmarked, ["value", "worst"]].isna().all(axis=None)
    assert scores.loc[~(of_diameter & unmarked), "worst"].notna().all()
    counted = resolve_undefined(scores, "worst_possible")["value"].notna()
    assert (counted == ~(of_diameter & unmarked)).all()


def test_predictions_are_found_by_id(patches, tmp_path, predicted):
    ids, masks = predicted
    scores = score(patches, tmp_path, ids, masks)
    backwards = score(patches, tmp_path, ids[::-1], masks[::-1])
    pd.testing.assert_frame_equal(scores, backwards)
    samples = read_samples(patches / "samples.csv")
    reference = read_array(patches / "reference.npy")
    values = scores[scores["metric"] == "dice"].set_index("id")["value"]
    for sample_id, mask in zip(ids, masks, strict=True):
        assert values[sample_id] == pytest.approx(
            dice(reference[samples.loc[sample_id, "row"]], mask)
        )


def test_missing_and_foreign_predictions_are_errors(patches, tmp_path, predicted):
    ids, masks = predicted
    with pytest.raises(DataError, match=f"1 test samples lack.*{ids[-1]}"):
        score(patches, tmp_path, ids[:-1], masks[:-1])
    train = split_ids(patches / "samples.csv", "train")[0]
    with pytest.raises(DataError, match=train):
        score(patches, tmp_path, [*ids, train], np.concatenate([masks, masks[:1]]))


def test_status():
    full, empty = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    assert status(full, full) == "ok"
    assert status(full, empty) == "empty_prediction"
    assert status(empty, full) == "empty_reference"
    assert status(empty, empty) == "both_empty"


def test_distances_in_mm_where_the_spacing_is_known(patches, tmp_path, predicted):
    ids, masks = predicted
    table = pd.read_csv(patches / "samples.csv")
    table.assign(mm_per_px_x=0.5, mm_per_px_y=0.5).to_csv(tmp_path / "samples.csv", index=False)
    np.save(tmp_path / "p.npy", masks)
    pd.DataFrame({"id": ids}).to_csv(tmp_path / "p.csv", index=False)
    score_predictions(
        predictions_npy=tmp_path / "p.npy",
        predictions_csv=tmp_path / "p.csv",
        reference_npy=patches / "reference.npy",
        reference_ids_csv=patches / "samples.csv",
        samples_csv=tmp_path / "samples.csv",
        scores_csv=tmp_path / "scores.csv",
        workers=2,
        **RUN,
    )
    scores = pd.read_csv(tmp_path / "scores.csv")
    values = scores.set_index(["id", "metric"])["value"].unstack()  # noqa: PD010
    assert set(values) == set(MEASURES) | {f"{name}_mm" for name in IN_MM}
    for name in IN_MM:
        np.testing.assert_allclose(values[f"{name}_mm"], values[name] / 2, rtol=1e-6)
    worst = scores[scores["metric"] == "hausdorff_mm"]["worst"]
    assert worst.unique() == pytest.approx([32 * math.sqrt(2)])


def test_marked_diameters_and_spacings():
    ends = {"long_a_x": 0, "long_a_y": 0, "long_b_x": 3, "long_b_y": 0,
            "short_a_x": 1, "short_a_y": -2, "short_b_x": 1, "short_b_y": 2}  # fmt: skip
    samples = pd.DataFrame([ends | {"mm_per_px_x": 2.0, "mm_per_px_y": 0.5},
                            ends | {"mm_per_px_x": np.nan, "mm_per_px_y": np.nan}])  # fmt: skip
    assert spacings_mm(samples) == [(0.5, 2.0), None]
    # the diameter that was marked as the short one is the longer one in px, not in mm
    np.testing.assert_array_equal(marked_diameters(samples, 1.0, 1.0), [[4, 3], [4, 3]])
    in_mm = marked_diameters(samples, samples["mm_per_px_x"], samples["mm_per_px_y"])
    np.testing.assert_array_equal(in_mm, [[6, 2], [np.nan, np.nan]])


def test_every_metric_that_is_computed_is_in_the_catalogue_in_the_same_order():
    assert [*COMPUTED, *DIAMETERS] == list(MEASURES)
    assert set(IN_MM) < set(MEASURES)
    assert set(OVERLAPS) == {name for name in MEASURES if measure_of(name).unit == "%"}
    assert f"within {TOLERANCE_PX:g} px" in MEASURES["surface_dice"].text

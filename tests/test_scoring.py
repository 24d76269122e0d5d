import numpy as np
import pandas as pd
import pytest

from weaklesion.errors import DataError
from weaklesion.files import read_array
from weaklesion.metrics import dice
from weaklesion.samples import read_samples, split_ids
from weaklesion.scoring import METRICS, score_predictions, status

RUN = {"dataset": "d", "protocol": "p", "arm": "a", "seed": 7}


def score(patches, folder, ids, masks):
    np.save(folder / "p.npy", masks)
    pd.DataFrame({"id": ids}).to_csv(folder / "p.csv", index=False)
    score_predictions(
        predictions_npy=folder / "p.npy",
        predictions_csv=folder / "p.csv",
        reference_npy=patches / "reference.npy",
        reference_ids_csv=patches / "samples.csv",
        samples_csv=patches / "samples.csv",
        scores_csv=folder / "scores.csv",
        **RUN,
    )
    return pd.read_csv(folder / "scores.csv", dtype={"id": str})


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
    assert len(scores) == len(ids) * len(METRICS)
    assert (scores[list(RUN)] == pd.Series(RUN)).all(axis=None)
    by_id = scores.drop_duplicates("id").set_index("id")["status"]
    assert by_id[ids[0]] == "empty_prediction"
    assert (by_id[ids[1:]] == "ok").all()
    undefined = scores[scores["value"].isna()]
    assert set(undefined["id"]) == {ids[0]}
    assert set(undefined["metric"]) == {"center_error", "hausdorff", "average_hausdorff"}


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

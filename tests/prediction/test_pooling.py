"""Results of a cross-validation's folds, as one."""

import json

import numpy as np
import pandas as pd
import pytest

from weaklesion.errors import DataError
from weaklesion.prediction.pooling import pool_accuracies, pool_predictions, pool_runs


def predictions(folder, fold, names):
    """Masks whose first pixel is the sample's number."""
    masks = np.zeros((len(names), 2, 2), np.uint8)
    masks[:, 0, 0] = [int(name[1:]) for name in names]
    np.save(folder / f"{fold}.npy", masks)
    table = pd.DataFrame({"id": names, "partner": [f"p{name}" for name in names]})
    table.to_csv(folder / f"{fold}.csv", index=False)
    return folder / f"{fold}.npy", folder / f"{fold}.csv"


def pool(folder, *of_folds):
    samples = pd.DataFrame({"id": ["s1", "s2", "s3", "s4"], "group": list("abcd"), "split": "test"})
    samples.to_csv(folder / "samples.csv", index=False)
    pool_predictions(
        samples_csv=folder / "samples.csv",
        fold_predictions_npys=[npy for npy, _ in of_folds],
        fold_predictions_csvs=[csv for _, csv in of_folds],
        predictions_npy=folder / "pooled.npy",
        predictions_csv=folder / "pooled.csv",
    )
    return np.load(folder / "pooled.npy"), pd.read_csv(folder / "pooled.csv")


def test_masks_are_found_by_id_whatever_the_order_of_the_folds(tmp_path):
    first = predictions(tmp_path, 1, ["s4", "s2"])
    others = predictions(tmp_path, 2, ["s3"]), predictions(tmp_path, 3, ["s1"])
    masks, table = pool(tmp_path, first, *others)
    assert list(table["id"]) == ["s1", "s2", "s3", "s4"]
    assert list(table["partner"]) == ["ps1", "ps2", "ps3", "ps4"]
    assert list(masks[:, 0, 0]) == [1, 2, 3, 4]


@pytest.mark.parametrize("names", [["s1"], ["s1", "s2"], ["s5"]])
def test_a_sample_that_is_missing_or_predicted_twice_is_an_error(tmp_path, names):
    of_folds = predictions(tmp_path, 1, ["s2", "s3"]), predictions(tmp_path, 2, names)
    with pytest.raises(DataError, match=r"but .*samples\.csv has 4 samples"):
        pool(tmp_path, *of_folds)


def described(folder, fold, **changes):
    info = {
        **{"code": {}, "versions": {}},
        **{"settings": {"epochs": 9}, "settings_sha256": "s", "seed": 1, "num_parameters": 5},
        **{"threads": 1, "device": "cpu", "wall_s": 10.0 * fold, "images_per_second": 4.0 * fold},
        **{"epochs_run": 4 + fold, "peak_memory_bytes": fold, "peak_gpu_memory_bytes": None},
    }
    path = folder / f"run-{fold}.json"
    path.write_text(json.dumps(info | changes))
    return path


def test_the_trainings_of_all_folds_as_one_run(tmp_path):
    paths = [described(tmp_path, fold) for fold in (1, 2, 3)]
    pool_runs(fold_run_jsons=paths, run_json=tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["wall_s"], run["images_per_second"], run["epochs_run"]) == (60.0, 8.0, 7)
    assert (run["peak_memory_bytes"], run["peak_gpu_memory_bytes"]) == (3, None)
    assert run["settings"] == {"epochs": 9}
    assert [fold["epochs_run"] for fold in run["folds"]] == [5, 6, 7]


def test_folds_differ_in_what_each_takes_from_its_own_samples(tmp_path):
    paths = [
        described(
            tmp_path,
            fold,
            settings={"epochs": 9 + fold, "prompt": {"max_amplitude": fold / 10, "exponent": 2}},
            settings_sha256=f"{fold}",
        )
        for fold in (1, 2)
    ]
    pool_runs(fold_run_jsons=paths, run_json=tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert [fold["settings"]["epochs"] for fold in run["folds"]] == [10, 11]


def test_folds_of_other_settings_are_no_run(tmp_path):
    paths = [described(tmp_path, 1), described(tmp_path, 2, settings={"epochs": 9, "ema": 0.9})]
    with pytest.raises(DataError, match="settings differ"):
        pool_runs(fold_run_jsons=paths, run_json=tmp_path / "run.json")


def test_accuracies_are_weighted_by_samples(tmp_path):
    parts = [(0.5, 0.25, 4), (1.0, 0.25, 1)]
    paths = []
    for fold, (accuracy, majority, number) in enumerate(parts):
        part = {"accuracy": accuracy, "majority": majority, "num_samples": number}
        path = tmp_path / f"{fold}.json"
        path.write_text(
            json.dumps({"num_classes": 3} | dict.fromkeys(("train", "val", "test"), part))
        )
        paths.append(path)
    pool_accuracies(fold_accuracy_jsons=paths, accuracy_json=tmp_path / "pooled.json")
    pooled = json.loads((tmp_path / "pooled.json").read_text())
    expected = {"num_samples": 5, "accuracy": 0.6, "majority": 0.25}
    assert pooled["test"] == pytest.approx(expected)
    assert pooled["num_classes"] == 3

import math

import pandas as pd
import pytest
import yaml

from weaklesion.errors import DataError
from weaklesion.scoring import METRICS
from weaklesion.statistics import OVERLAPS
from weaklesion.tables import DEFINITIONS, TABLE1_COLUMNS, read_scores, tabulate_table1

PUBLISHED = {
    "table1": {
        "HAM10K": {
            "A1": {"Dice": {"mean": 90.01, "std": 0.09}, "AVD": {"mean": 10.23, "std": 0.17}}
        }
    }
}
PROTOCOLS = {
    "p": {
        "undefined": "worst_possible",
        "side_px": 120,
        "published_as": {"Dice": "dice", "AVD": "hausdorff"},
    }
}


def write_scores(folder, arm, seed, dice, hausdorff):
    run = {"dataset": "ham10k", "protocol": "p", "arm": arm, "seed": seed}
    rows = []
    for i in range(4):
        for metric in METRICS:
            value = {"dice": dice[i], "hausdorff": hausdorff[i]}.get(metric, 0.5)
            rows.append(
                {
                    **run,
                    "id": f"s{i}",
                    "group": f"g{i}",
                    "metric": metric,
                    "value": value,
                    "status": "ok" if hausdorff[i] == hausdorff[i] else "empty_prediction",
                }
            )
    path = folder / f"{arm}-{seed}.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path, run


@pytest.fixture
def scored(tmp_path):
    nan = math.nan
    return [
        write_scores(tmp_path, "ellipse", 0, [0.9, 0.9, 0.9, 0.9], [1, 1, 1, 1]),
        write_scores(tmp_path, "a1", 1, [0.8, 0.9, 0.9, 1.0], [4, 4, 4, 4]),
        write_scores(tmp_path, "a1", 2, [0.6, 0.8, 0.8, 0.0], [6, 6, 6, nan]),
    ]


def tabulate(scored, folder, expected=None):
    (folder / "published.yaml").write_text(yaml.safe_dump(PUBLISHED))
    tabulate_table1(
        scores_csvs=[path for path, _ in scored],
        expected=expected or [run for _, run in scored],
        published_yaml=folder / "published.yaml",
        published_datasets={"ham10k": "HAM10K"},
        published_arms={"a1": "A1"},
        protocols=PROTOCOLS,
        references={"ham10k": "dense"},
        sources={"ham10k": "dataverse"},
        draws=200,
        bootstrap_seed=0,
        table_csv=folder / "table1.csv",
        table_html=folder / "table1.html",
    )
    return pd.read_csv(folder / "table1.csv").set_index(["arm", "metric"])


def test_cells_with_known_answers(scored, tmp_path):
    table = tabulate(scored, tmp_path)
    assert list(pd.read_csv(tmp_path / "table1.csv")) == TABLE1_COLUMNS
    dice = table.loc[("a1", "dice")]
    # means of the seeds 0.9 and 0.55
    assert dice["mean"] == pytest.approx(72.5)
    assert dice["std"] == pytest.approx(100 * 0.35 / math.sqrt(2), rel=1e-4)
    assert (dice["n_seeds"], dice["n_samples"], dice["n_undefined"]) == (2, 4, 0)
    assert dice["published_mean"] == 90.01
    assert dice["difference"] == pytest.approx(72.5 - 90.01, abs=1e-3)
    hausdorff = table.loc[("a1", "hausdorff")]
    # the undefined one counts as the diagonal, 120 sqrt 2
    assert hausdorff["mean"] == pytest.approx((4 + (18 + 120 * math.sqrt(2)) / 4) / 2, rel=1e-4)
    assert (hausdorff["n_undefined"], hausdorff["n_empty"]) == (1, 1)
    assert (dice["n_empty"], table["n_empty"].max()) == (1, 1)
    assert (hausdorff["published_mean"], hausdorff["published_std"]) == (10.23, 0.17)


def test_ellipse_row_has_no_published_value_and_no_deviation(scored, tmp_path):
    row = tabulate(scored, tmp_path).loc[("ellipse", "dice")]
    assert row["mean"] == pytest.approx(90)
    assert math.isnan(row["std"])
    assert math.isnan(row["published_mean"])
    assert math.isnan(row["difference"])


def test_page_states_every_definition_and_published_value(scored, tmp_path):
    tabulate(scored, tmp_path)
    page = (tmp_path / "table1.html").read_text()
    for label, unit, _ in DEFINITIONS.values():
        assert f"<th>{label}, {unit}</th>" in page
    assert "paper 90.01 ± 0.09" in page
    assert "1 empty" in page
    assert "the dense reference" in page
    assert "source: dataverse" in page
    assert "worst_possible" in page


def test_same_input_gives_the_same_bytes(scored, tmp_path):
    tabulate(scored, tmp_path)
    first = (tmp_path / "table1.csv").read_bytes(), (tmp_path / "table1.html").read_bytes()
    tabulate(scored[::-1], tmp_path, [run for _, run in scored])
    again = tabulate(scored, tmp_path)
    assert first == (
        (tmp_path / "table1.csv").read_bytes(),
        (tmp_path / "table1.html").read_bytes(),
    )
    assert len(again) == 2 * len(METRICS)


def test_missing_run_is_an_error(scored, tmp_path):
    with pytest.raises(DataError, match=r"missing.*'a1', 2"):
        tabulate(scored[:2], tmp_path, [run for _, run in scored])


def test_run_that_is_not_expected_is_an_error(scored, tmp_path):
    with pytest.raises(DataError, match=r"not expected.*'a1', 2"):
        tabulate(scored, tmp_path, [run for _, run in scored[:2]])


def test_run_given_twice_or_without_a_metric_is_an_error(scored):
    paths, runs = [p for p, _ in scored], [r for _, r in scored]
    with pytest.raises(DataError, match="twice"):
        read_scores([*paths, paths[0]], runs)
    scores = pd.read_csv(paths[0])
    scores[scores["metric"] != "iou"].to_csv(paths[0], index=False)
    with pytest.raises(DataError, match="lacks a metric"):
        read_scores(paths, runs)


def test_every_metric_is_defined_and_published_columns_are_known(root):
    assert set(DEFINITIONS) == set(METRICS)
    assert {name for name, (_, unit, _) in DEFINITIONS.items() if unit == "%"} == set(OVERLAPS)
    published = yaml.safe_load((root / "workflow/resources/published_numbers.yaml").read_text())[
        "table1"
    ]
    config = yaml.safe_load((root / "config.yaml").read_text())
    columns = set(config["protocols"]["corrected"]["scoring"]["published_as"])
    assert set(published[config["datasets"]["ham10k"]["published"]]["A1"]) == columns
    assert set(config["protocols"]["corrected"]["scoring"]["published_as"].values()) <= set(METRICS)

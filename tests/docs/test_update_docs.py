"""Pages of docs/ say what the tables beside them say; a study may be brought in by parts."""

import json
import re
import shutil

import doc_tables
import pandas as pd
import pytest
import update_benchmarks
import update_docs
from markers import has_markers, replace_between


def test_every_page_says_what_its_tables_say(root):
    studies = update_docs.kept_studies()
    assert len(studies) > 5
    for kept in studies:
        page, text = update_docs.page_with(kept, root / "docs/results")
        assert page.read_text() == text, f"{page}: call python tools/update_docs.py"


def test_a_gap_is_named_as_in_its_chart(root):
    charts = 0
    for kept in update_docs.kept_studies():
        named = re.findall(r'\(in the chart "(.*?)"\)', update_docs.describe(kept))
        drawn = {
            words
            for path in kept.glob("*.svg")
            for words in re.findall(r">([^<>\n]+ against [^<>\n]+)</text>", path.read_text())
        }
        assert set(named) <= drawn, kept.name
        charts += len(named)
    assert charts == 8


def test_table1_says_what_its_tables_say(root):
    page, text = update_docs.table1_page()
    assert page.read_text() == text, f"{page}: call python tools/update_docs.py"
    rows = [line for line in text.splitlines() if line.startswith("|")]
    (paper,) = (row for row in rows if row.startswith("| HAM10K | *the paper*"))
    assert "| 90.01 ± 0.09 | 90.54 ± 0.22 | 90.42 ± 0.51 |" in paper
    of_gpu = pd.read_csv(root / "docs/results/ham10k-paper/test_means.csv").set_index("arm")["dice"]
    means = [f"{100 * of_gpu[arm]:.2f}" for arm in ("ellipse", "a1", "a1l")]
    assert any("ResNet-101" in row and f"| {' | '.join(means)} |" in row for row in rows)


def test_the_figure_of_findings_shows_what_its_tables_say(root):
    drawing, text = update_docs.findings_figure()
    assert drawing.read_text() == text, f"{drawing}: call python tools/update_docs.py"
    lines = re.findall(r"<title>(.*?): (\S+) \[(\S+), (\S+?)\].*?</title>", text)
    assert len(lines) == text.count("<title>") > 10  # each has an interval
    drawn = {}
    for about, *numbers in lines:
        name, _, table = about.rpartition(", ")
        drawn[name, table] = [float(number) for number in numbers]
    by_hand = [  # the row of each table by its own columns
        ("LiTS, RECIST, four ends", "prompted-lits25/shapes.csv", "arm", "ends"),
        ("LIDC, other readers, network (3 seeds)", "readers/readers.csv", "mask", "prompted_ends"),
        (
            "HAM10000, flips, classes shuffled (5 seeds)",
            "ham10k-cpu/table1.csv",
            "arm",
            "a1l_shuffled",
        ),
    ]
    for name, path, column, arm in by_hand:
        rows = pd.read_csv(root / "docs/results" / path)
        for key, value in ((column, arm), ("metric", "dice"), ("protocol", "recist")):
            if key in rows and value in set(rows[key]):
                rows = rows[rows[key] == value]
        expected = rows[["gain", "gain_ci_low", "gain_ci_high"]].to_numpy()
        assert expected.shape == (1, 3)
        assert drawn[name, path] == pytest.approx(expected[0], abs=0.0051)
    paper = [about for about in text.splitlines() if "the paper +0.53" in about]
    assert len(paper) == 3  # 90.54 - 90.01
    assert "](docs/findings.svg)" in (root / "README.md").read_text()


def test_every_drawing_of_differences_is_that_of_its_table(root, tmp_path):
    drawn = 0
    for kept in update_docs.kept_studies():
        again = tmp_path / kept.name
        again.mkdir()
        for path in kept.glob("*.csv"):
            shutil.copy(path, again)
        update_docs.draw_differences(again)
        for path in again.glob("*.csv"):
            if doc_tables.kind(pd.read_csv(path)) == doc_tables.KINDS["published_mean"]:
                chart = path.with_suffix(".svg")
                assert chart.exists() == (kept / chart.name).exists(), f"{kept / chart.name}"
        for path in again.glob("*.svg"):
            assert path.read_text() == (kept / path.name).read_text(), f"{kept / path.name}"
            drawn += 1
    assert drawn > 15


def test_a_chart_goes_when_its_table_has_no_interval_any_more(root, tmp_path):
    table = pd.read_csv(root / "docs/results/ham10k-cpu/refined.csv")
    for undecided in (False, True):
        if undecided:
            table[["gain_ci_low", "gain_ci_high"]] = float("nan")
        table.to_csv(tmp_path / "refined.csv", index=False)
        update_docs.draw_differences(tmp_path)
        assert (tmp_path / "refined.svg").exists() != undecided


def test_a_number_that_was_changed_by_hand_is_noticed(root, tmp_path):
    kept = root / "docs/results/ham10k-small"
    page, text = update_docs.page_with(kept, root / "docs/results")
    shutil.copy(page, tmp_path)
    changed = tmp_path / page.name
    changed.write_text(changed.read_text().replace("89.04 ± 0.49", "91.04 ± 0.49"))
    _, again = update_docs.page_with(kept, tmp_path)
    assert again == text != changed.read_text()


def finished(folder, tables, seconds, commit):
    """A study's results, as far as they are read."""
    (folder / "tables").mkdir(parents=True)
    for name, mean in tables.items():
        row = {"dataset": "d", "protocol": "p", "target": "ellipse", "n_samples": 3, "dice": mean}
        row |= {"hd95_px": 1.0, "area_ratio_median": 1.0}
        pd.DataFrame([row]).to_csv(folder / f"tables/{name}.csv", index=False)
    for number, wall_s in enumerate(seconds):
        run = folder / f"d/p/runs/a1/seed-{number}/run.json"
        run.parent.mkdir(parents=True)
        content = {
            "wall_s": wall_s,
            "code": {"commit": commit, "dirty": False},
            "device": "cpu",
            "threads": 1,
            "peak_memory_bytes": 2**30,
            "versions": {"torch": "2"},
        }
        run.write_text(json.dumps(content))
    return folder


def test_a_study_is_brought_in_by_parts(tmp_path):
    kept = tmp_path / "kept"
    update_docs.collect(
        finished(tmp_path / "a", {"one": 90.0, "two": 91.0}, [10, 20], "a" * 40), kept
    )
    before = update_docs.describe(kept)
    assert "90.00" in before
    assert "2 training runs of 10 to 20 s on cpu" in before
    later = finished(tmp_path / "b", {"two": 92.0, "three": 93.0}, [30, 40, 50], "b" * 40)
    update_docs.collect(later, kept)
    text = update_docs.describe(kept)
    assert "91.00" not in text
    assert all(number in text for number in ("90.00", "92.00", "93.00"))
    first = "one: 2 training runs of 10 to 20 s on cpu (1 thread each), at most 1.0 GiB each"
    assert f"{first}; torch 2, commit {'a' * 10}." in text
    assert "three, two: 3 training runs of 30 to 50 s" in text
    update_docs.collect(later, kept)
    assert update_docs.describe(kept) == text


def test_the_chart_of_an_earlier_table_does_not_stay_beside_a_new_one(tmp_path):
    kept, first = tmp_path / "kept", finished(tmp_path / "a", {"one": 90.0}, [10], "a" * 40)
    (first / "figures").mkdir()
    (first / "figures/one.svg").write_text("<svg/>")
    update_docs.collect(first, kept)
    assert "![one: targets against the dense reference](" in update_docs.describe(kept)
    update_docs.collect(finished(tmp_path / "b", {"one": 91.0}, [20], "b" * 40), kept)
    text = update_docs.describe(kept)
    assert "91.00" in text
    assert "![one" not in text


def test_charts_of_gaps_show_what_their_tables_compare(root):
    seen = 0
    for path in sorted((root / "docs/results").glob("*/*.csv")):
        table = pd.read_csv(path)
        if doc_tables.kind(table) != doc_tables.KINDS["share_of_gap"]:
            continue
        chart = path.with_suffix(".svg").read_text()
        pairs = table[["arm", "against"]].drop_duplicates()
        legend = chart[chart.rindex(" intervals") :]
        assert legend.count(" against ") == len(pairs), path.name
        has_intervals = table["ci_low"].notna().any()
        assert ("95 % intervals over groups and seeds<" in chart) == has_intervals, path.name
        seen += 1
    assert seen > 3


def test_a_table_of_gaps_names_kinds_of_images_as_its_chart_does(root):
    kept = root / "docs/results/prompted-ham10k"
    table = doc_tables.gaps(pd.read_csv(kept / "prompted_failures.csv"))
    chart = (kept / "prompted_failures.svg").read_text()
    kinds = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]
    quarters = [kind for kind in kinds if kind.endswith(" quarter")]
    assert len(quarters) == 12
    for kind in quarters:
        assert f">{kind}<" in chart, kind


def test_every_chart_of_a_page_has_a_text_for_those_who_do_not_see_it(root):
    for kept in update_docs.kept_studies():
        for line in update_docs.describe(kept).splitlines():
            if line.startswith("!["):
                assert len(line[2 : line.index("]")].split()) > 3, line


def test_a_table_without_rows_is_not_kept(tmp_path):
    study = finished(tmp_path / "a", {"one": 90.0}, [10], "a" * 40)
    pd.DataFrame(columns=["claim", "verdict"]).to_csv(study / "tables/verdicts.csv", index=False)
    update_docs.collect(study, tmp_path / "kept")
    assert not (tmp_path / "kept/verdicts.csv").exists()


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_a_table_that_is_cut_off_is_refused_by_name(tmp_path, share):
    study = finished(tmp_path / "a", {"one": 90.0}, [10], "a" * 40)
    table = study / "tables/one.csv"
    table.write_bytes(table.read_bytes()[: int(share * table.stat().st_size)])
    with pytest.raises(SystemExit, match=r"one\.csv: (cannot be read|is cut off)"):
        update_docs.collect(study, tmp_path / "kept")
    assert not (tmp_path / "kept/one.csv").exists()


def test_folds_of_a_run_are_counted_once(tmp_path):
    study = finished(tmp_path / "a", {"one": 90.0}, [10, 20], "a" * 40)
    folds = [json.loads(path.read_text()) for path in sorted(study.rglob("run.json"))]
    whole = study / "d/all/runs/a1/seed-0/run.json"
    whole.parent.mkdir(parents=True)
    whole.write_text(json.dumps(folds[0] | {"wall_s": 30, "folds": folds}))
    both = update_docs.found_runs(study, ["one"])
    assert (both["trainings"], both["seconds_min"], both["seconds_max"]) == (2, 10, 20)
    shutil.rmtree(study / "d/p")
    assert update_docs.found_runs(study, ["one"]) == both


def test_an_older_release_of_a_study_is_no_training_of_it(tmp_path):
    study = finished(tmp_path / "a", {"one": 90.0}, [10], "a" * 40)
    finished(study / "release", {"one": 80.0}, [70], "b" * 40)
    found = update_docs.found_runs(study, ["one"])
    assert (found["trainings"], found["seconds_max"], found["commits"]) == (1, 10, "a" * 10)


def test_a_damaged_record_of_a_run_is_named(tmp_path):
    study = finished(tmp_path / "a", {"one": 90.0}, [10], "a" * 40)
    (path,) = study.rglob("run.json")
    path.write_text(path.read_text()[:20])
    with pytest.raises(SystemExit, match=r"seed-0/run\.json: is damaged"):
        update_docs.collect(study, tmp_path / "kept")


def test_choices_grow_by_parts_and_a_table_without_trainings_is_credited_to_none(tmp_path):
    kept, first = tmp_path / "kept", finished(tmp_path / "a", {"one": 90.0}, [10], "a" * 40)
    second = finished(tmp_path / "b", {"one": 91.0}, [], "b" * 40)
    for folder, protocol, weight, name in (
        (first, "p", 5, "refined"),
        (second, "q", 10, "refined"),
        (second, "p", 20, "refined"),
        (second, "p", 40, "refined_ends"),
    ):
        choice = folder / f"d/{protocol}/targets/{name}_choice.json"
        choice.parent.mkdir(parents=True, exist_ok=True)
        content = {"prior_weight": weight, "recovered_iou": {"5": 0.9}, "images": 7}
        choice.write_text(json.dumps(content))
    update_docs.collect(first, kept)
    assert "10 to 10 s" in update_docs.describe(kept)
    update_docs.collect(second, kept)
    text = update_docs.describe(kept)
    assert "| pseudo-masks | d | `p` | prior_weight | 20 | 5: 0.9000 | 7 |" in text
    assert "| pseudo-masks | d | `q` | prior_weight | 10 |" in text
    assert "| pseudo-masks of ends | d | `p` | prior_weight | 40 |" in text
    assert "10 to 10 s" not in text


def test_tables_that_are_too_long_or_unknown_are_left_out(tmp_path):
    folder = finished(tmp_path / "a", {"one": 90.0, "definitions": 1.0}, [10], "a" * 40)
    (folder / "tables/one.samples.csv").write_text("area_ratio_median\n1\n")
    (folder / "tables/other.csv").write_text("something\n1\n")
    update_docs.collect(folder, tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["one.csv", "runs.csv"]


def test_each_benchmark_has_its_place_and_leaves_the_rest_alone(root):
    page = update_benchmarks.PAGE.read_text()
    scripts = {path.stem.removeprefix("bench_") for path in root.glob("benchmarks/bench_*.py")}
    assert set(update_benchmarks.NAMES) == scripts
    for name in update_benchmarks.NAMES:
        assert has_markers(page, name)
    changed = replace_between(page, "segment", "measured \\1\n")
    assert "<!-- begin segment -->\nmeasured \\1\n<!-- end segment -->" in changed
    assert changed.split("<!-- begin segment")[0] == page.split("<!-- begin segment")[0]


def test_what_is_not_known_is_no_interval():
    row = pd.Series({"ci_low": 62.34, "ci_high": 62.34, "n_groups": 0})
    assert doc_tables.interval(row) == "(no interval)"
    row = pd.Series({"gain": 1.0, "gain_ci_low": None, "gain_ci_high": None, "n_groups": 1,
                     "p_holm": None, "gain_unknown": "one group"})  # fmt: skip
    assert doc_tables.gain(row) == "+1.00 (one group); one group, undecided"

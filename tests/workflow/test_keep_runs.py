"""Runs of a study are kept in small files, and its tables are made from them on another machine."""

import json
import lzma
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import keep_runs
import pandas as pd
import pytest
from conftest import ROOT
from running import TINY, clone, snakemake

ELLIPSE = ("phantom_ham10k", "ellipse")  # dataset and arm of a run's folder


@pytest.fixture
def kept(finished, tmp_path):
    keep_runs.keep(finished / "results/tiny", tmp_path / "kept")
    return tmp_path / "kept"


def documented():
    """The commands of the how-to, a list of words each."""
    section = (ROOT / "docs/how-to/run.md").read_text().split("## Spread a study")[1].split("##")[0]
    lines = re.findall(r"^ {4}(\w.*)$", section.replace("\\\n", " "), re.M)
    return [shlex.split(line.replace("STUDY", "tiny").replace("ITEM", "table1")) for line in lines]


def test_tables_are_made_from_kept_runs(finished, tmp_path):
    """What the how-to says, as it stands there, but for the study."""
    folder = clone(tmp_path / "clone")
    results = folder / "results"
    shutil.copytree(finished / "results", results)
    keep, restore, tabulate = documented()
    for words in (keep, restore):
        assert words[0] == "python"
        subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True)
        if words is keep:
            shutil.rmtree(results)
    position = tabulate.index("--configfile")
    assert tabulate[position + 1] == "workflow/studies/tiny.yaml"
    assert tabulate[position + 2 :] == ["--config", "seeds=[1, 2, 3, 4, 5]"]
    snakemake(folder, *tabulate[1:position], *TINY)
    path = "results/tiny/tables/table1.csv"
    own, whole = pd.read_csv(folder / path), pd.read_csv(finished / path)
    assert len(whole)
    pd.testing.assert_frame_equal(own, whole, rtol=0.02, atol=0.02)  # with four digits per score
    assert own["mean"].to_numpy() == pytest.approx(whole["mean"], rel=5e-4, nan_ok=True)


def test_scores_come_back(finished, kept, tmp_path):
    keep_runs.restore(kept, tmp_path / "study")
    paths = keep_runs.runs_in(finished / "results/tiny")
    assert len(paths) > 10
    for path in paths:
        was, now = (
            pd.read_csv(folder / path / "scores.csv").sort_values(["id", "metric"])
            for folder in (finished / "results/tiny", tmp_path / "study")
        )
        assert len(was)
        pd.testing.assert_frame_equal(
            now[was.columns].reset_index(drop=True), was.reset_index(drop=True), rtol=5e-4
        )


def test_undefined_values_and_missing_metrics_stay_apart():
    rows = [
        ("a", "g", "dice", 0.5, "ok", 0.0),
        ("a", "g", "hausdorff_mm", 2.0, "ok", 90.0),
        ("b", "g", "dice", None, "both_empty", 0.0),
    ]
    columns = ["id", "group", "metric", "value", "status", "worst"]
    scores = pd.DataFrame(rows, columns=columns)
    back = keep_runs.spread(keep_runs.compact(scores))
    ordered = back.sort_values(["id", "metric"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(ordered, scores)


def test_a_run_on_images_without_marks_comes_back_whole_and_is_kept_again(tmp_path):
    run = write_run(tmp_path / "study")
    scores = pd.read_csv(run / "scores.csv")
    error = scores.assign(metric="long_diameter_error", value=None, worst=None)
    pd.concat([scores, error]).to_csv(run / "scores.csv", index=False)
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    keep_runs.restore(tmp_path / "kept", tmp_path / "again")
    back = pd.read_csv(tmp_path / "again" / run.relative_to(tmp_path / "study") / "scores.csv")
    pd.testing.assert_frame_equal(back, pd.read_csv(run / "scores.csv"))
    keep_runs.keep(tmp_path / "again", tmp_path / "kept")


def trained(kept):
    return sorted(kept.rglob("run.json"))


def test_seeds_of_other_settings_are_refused(kept, tmp_path):
    by_arm = {}
    for path in trained(kept):
        by_arm.setdefault(path.parent.parent, []).append(path)
    path = next(paths for paths in by_arm.values() if len(paths) > 1)[-1]
    run = json.loads(path.read_text())
    run["settings"]["learning_rate"] *= 2
    path.write_text(json.dumps(run))
    with pytest.raises(
        SystemExit, match=r"seed-.* its settings differ from .*seed-.* Remove the runs"
    ):
        keep_runs.restore(kept, tmp_path / "study")


def test_another_run_in_the_same_place_is_refused(finished, kept, tmp_path):
    study = tmp_path / "study"
    keep_runs.restore(kept, study)
    keep_runs.restore(kept, study)  # the same runs: nothing to do
    other = study / trained(kept)[0].relative_to(kept)
    other.write_text(other.read_text().replace('"wall_s"', '"wall_s" '))
    with pytest.raises(SystemExit, match="another run"):
        keep_runs.restore(kept, study)
    with pytest.raises(SystemExit, match="another run"):
        keep_runs.keep(study, kept)


PLACE = "d/p/runs/a1/seed-1"


def write_run(study, wall_s=1.0, place=PLACE, epochs=1):
    """Write a run of one sample where a study has it; return its folder."""
    folder = study / place
    folder.mkdir(parents=True)
    inputs = {"images": "0", "samples": "0"}
    run = {"settings": {"epochs": epochs}, "inputs_sha256": inputs, "wall_s": wall_s}
    (folder / "run.json").write_text(json.dumps(run))
    columns = [*keep_runs.RUN, "id", "group", "metric", "value", "status", "worst"]
    row = ["d", "p", "a1", 1, "a", "g", "dice", 0.5, "ok", 0.0]
    pd.DataFrame([row], columns=columns).to_csv(folder / "scores.csv", index=False)
    return folder


def test_a_run_that_is_not_scored_yet_is_not_overwritten(tmp_path):
    write_run(tmp_path / "study")
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    own = write_run(tmp_path / "other", wall_s=2.0)
    (own / "scores.csv").unlink()
    text = (own / "run.json").read_text()
    with pytest.raises(SystemExit, match="another run"):
        keep_runs.restore(tmp_path / "kept", tmp_path / "other")
    assert (own / "run.json").read_text() == text


@pytest.mark.parametrize("command", ["keep", "restore"])
@pytest.mark.parametrize("refused", ["settings", "another run"])
def test_where_one_run_is_refused_nothing_is_written(tmp_path, command, refused):
    one, other = (tmp_path / name for name in ("study", "kept")[:: 1 if command == "keep" else -1])
    write_run(one, place="d/p/runs/a0/seed-1")
    write_run(one, epochs=2 if refused == "settings" else 1)
    write_run(other, 2.0, place="d/p/runs/a1/seed-3" if refused == "settings" else PLACE)
    for folder in (one, other):
        if folder.name == "kept":
            keep_runs.keep(folder, tmp_path / "temporary")
            shutil.rmtree(folder)
            (tmp_path / "temporary").rename(folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(SystemExit, match=f"{refused}.*Remove"):
        getattr(keep_runs, command)(one, other)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("command", ["keep", "restore"])
def test_a_command_that_was_killed_is_repeated(tmp_path, command):
    own = write_run(tmp_path / "study")
    places = tmp_path / "study", tmp_path / "kept"
    keep_runs.keep(*places)
    if command == "restore":
        shutil.rmtree(tmp_path / "study")
        places = places[::-1]

    def killed(source, target):
        Path(target).write_text("{")
        raise KeyboardInterrupt

    with (
        mock.patch.object(keep_runs.shutil, "copyfile", killed),
        pytest.raises(KeyboardInterrupt),
    ):
        getattr(keep_runs, command)(*places)
    getattr(keep_runs, command)(*places)
    assert json.loads((own / "run.json").read_text())["wall_s"] == 1.0


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_damaged_scores_of_a_kept_run_are_named(tmp_path, share):
    write_run(tmp_path / "study")
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    scores_xz = tmp_path / "kept" / PLACE / "scores.csv.xz"
    scores_xz.write_bytes(scores_xz.read_bytes()[: int(share * scores_xz.stat().st_size)])
    for target in ("new", "study"):
        with pytest.raises(SystemExit, match=r"scores\.csv\.xz: is damaged"):
            keep_runs.restore(tmp_path / "kept", tmp_path / target)
    with pytest.raises(SystemExit, match=r"scores\.csv\.xz: is damaged"):
        keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    assert not (tmp_path / "new" / PLACE / "scores.csv").exists()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("run.json", lambda text: text[:20]),
        ("run.json", lambda text: ""),
        ("run.json", lambda text: "[]"),
        ("run.json", lambda text: text.replace("settings", "setings")),
        ("run.json", lambda text: text.replace("samples", "sample")),
        ("scores.csv", lambda text: ""),
        ("scores.csv", lambda text: text.splitlines(keepends=True)[0]),
        ("scores.csv", lambda text: text[:-3]),
        ("scores.csv", lambda text: text.replace("status", "state")),
    ],
)
def test_a_damaged_file_of_a_run_is_named_and_nothing_is_kept(tmp_path, name, change):
    write_run(tmp_path / "study", place="d/p/runs/a0/seed-1")
    path = write_run(tmp_path / "study") / name
    path.write_text(change(path.read_text()))
    with pytest.raises(SystemExit, match=rf"a1/seed-1/{name}: is damaged .* Get it again"):
        keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("text", ["", "id,group,status\n", "id,group\na,g\n"])
def test_kept_scores_without_rows_or_columns_are_named(tmp_path, text):
    write_run(tmp_path / "study")
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    (tmp_path / "kept" / PLACE / "scores.csv.xz").write_bytes(lzma.compress(text.encode()))
    with pytest.raises(SystemExit, match=r"scores\.csv\.xz: is damaged"):
        keep_runs.restore(tmp_path / "kept", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_accuracy_that_was_measured_later_is_added(tmp_path):
    own = write_run(tmp_path / "study")
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    (own / "accuracy.json").write_text("{}")
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    assert (tmp_path / "kept" / PLACE / "accuracy.json").read_text() == "{}"
    (own / "accuracy.json").unlink()
    keep_runs.restore(tmp_path / "kept", tmp_path / "study")
    assert (own / "accuracy.json").read_text() == "{}"


def test_copies_in_a_release_are_not_runs_of_the_study(tmp_path):
    write_run(tmp_path / "study")
    write_run(tmp_path / "study/release")
    keep_runs.keep(tmp_path / "study", tmp_path / "kept")
    keep_runs.restore(tmp_path / "kept", tmp_path / "back")
    assert [str(path) for path in keep_runs.runs_in(tmp_path / "back")] == [PLACE]


def test_other_images_under_one_protocol_are_refused(kept, tmp_path):
    arms = {path.parent.parent for path in trained(kept)}
    arm = sorted(arm for arm in arms if len([a for a in arms if a.parent == arm.parent]) > 1)[-1]
    for path in arm.rglob("run.json"):  # all seeds alike
        run = json.loads(path.read_text())
        run["inputs_sha256"]["samples"] = "0" * 64
        path.write_text(json.dumps(run))
    with pytest.raises(SystemExit, match="its images or samples differ"):
        keep_runs.restore(kept, tmp_path / "study")


def test_folds_of_a_cross_validated_run_are_compared(tmp_path):
    for seed, digest in (("1", "a"), ("2", "a")):
        write_folds(tmp_path, seed, digest)
    keep_runs.check_alike(keep_runs.run_files(tmp_path))
    write_folds(tmp_path, "3", "b")
    with pytest.raises(SystemExit, match=r"seed-3.*its inputs differ"):
        keep_runs.check_alike(keep_runs.run_files(tmp_path))


def write_folds(folder, seed, digest):
    """As `weaklesion.prediction.pooling.pool_runs` describes a run."""
    path = folder / f"lits/crossed/runs/a1/seed-{seed}/run.json"
    path.parent.mkdir(parents=True)
    inputs = [{"images": "i", "samples": "s", "target": target} for target in ("t", digest)]
    folds = [{"inputs_sha256": one} for one in inputs]
    path.write_text(json.dumps({"settings": {"epochs": 1}, "folds": folds}))


def test_other_scores_of_a_run_without_a_network_are_noticed(finished, kept, tmp_path):
    study = tmp_path / "study"
    keep_runs.restore(kept, study)
    (path,) = (path for path in keep_runs.runs_in(study) if path.parts[0::3] == ELLIPSE)
    scores = pd.read_csv(study / path / "scores.csv")
    scores.loc[scores["metric"] == "dice", "value"] /= 2
    scores.to_csv(study / path / "scores.csv", index=False)
    with pytest.raises(SystemExit, match="another run"):
        keep_runs.keep(study, kept)


def test_what_was_kept_in_part_is_kept_again(finished, kept):
    scores = next(iter(sorted(kept.rglob("scores.csv.xz"))))
    scores.unlink()
    keep_runs.keep(finished / "results/tiny", kept)
    assert scores.is_file()


def test_a_later_seed_is_added(finished, kept):
    gone = trained(kept)[0].parent
    shutil.rmtree(gone)
    keep_runs.keep(finished / "results/tiny", kept)
    assert (gone / "scores.csv.xz").is_file()

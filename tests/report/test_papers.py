"""Model card, data sheet and checklists: what they count, score, show and find missing."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

from weaklesion.data.attributes import read_attributes
from weaklesion.errors import DataError
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.report.papers.checklist import write_checklist
from weaklesion.report.papers.crate import write_crate
from weaklesion.report.papers.data_sheet import count_people, write_data_sheet
from weaklesion.report.papers.evidence import RULES, anchor_of, check_item
from weaklesion.report.papers.facts import facts_of
from weaklesion.report.papers.model_card import write_model_card
from weaklesion.report.papers.release import gather_release
from weaklesion.report.papers.release_texts import licences_text, zenodo_metadata
from weaklesion.report.papers.study_files import StudyFiles
from weaklesion.report.papers.subgroups import (
    describe_people,
    score_subgroups,
    subgroups_of,
    worst_samples,
)
from weaklesion.scoring.catalogue import MEASURES
from weaklesion.support.files import file_digest
from weaklesion.support.yaml_files import read_yaml

PEOPLE = [  # id, group, split, sex, age, site, long diameter
    ("s1", "g1", "test", "male", "35", "back", 10),
    ("s2", "g2", "test", "male", "40", "back", 20),
    ("s3", "g3", "test", "female", "85", "trunk", 30),
    ("s4", "g4", "test", "female", "60", "trunk", 40),
    ("s5", "g5", "test", "unknown", "", "", 50),
    ("s6", "g6", "test", "female", "61", "trunk", 60),
    ("s7", "g7", "train", "male", "20", "back", 70),
    ("s8", "g8", "val", "female", "90", "unknown", 80),
]
DICE = {"s1": 0.9, "s2": 0.7, "s3": 0.5, "s4": 0.3, "s5": 0.2, "s6": 0.1}


@pytest.fixture
def samples_csv(tmp_path):
    rows = []
    for name, group, split, *_, length in PEOPLE:
        mark = dict.fromkeys(RECIST_COLUMNS, 0.0) | {"long_b_x": 0.6 * length}
        mark |= {"long_b_y": 0.8 * length, "short_b_x": 1.0}
        spacing = {"mm_per_px_x": "", "mm_per_px_y": ""}
        rows.append({"id": name, "group": group, "split": split, "crop_x0": 0} | spacing | mark)
    pd.DataFrame(rows).to_csv(tmp_path / "samples.csv", index=False)
    return tmp_path / "samples.csv"


@pytest.fixture
def metadata_csv(tmp_path):
    header = ["image_id", "sex", "age", "localization"]
    rows = [[name, sex, age, site] for name, _, _, sex, age, site, _ in PEOPLE]
    pd.DataFrame(rows, columns=header).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path / "metadata.csv"


@pytest.fixture
def people(samples_csv, metadata_csv):
    samples = pd.read_csv(samples_csv, dtype={"id": str}).set_index("id")
    return describe_people(samples, read_attributes("ham10k", metadata_csv))


def scores_of(arm="a1", seed=1, change=0.0, empty=()):
    """Scores of the test samples: all metrics, of which Dice has known values."""
    rows = [
        {"dataset": "d", "protocol": "p", "arm": arm, "seed": seed, "id": name, "group": group}
        | {"metric": metric, "value": DICE[name] + change if metric == "dice" else 0.5}
        | {"status": "empty_prediction" if name in empty else "ok"}
        | {"worst": 0.0 if measure.larger_is_better else 100.0}
        for name, group, split, *_ in PEOPLE
        if split == "test"
        for metric, measure in MEASURES.items()
    ]
    return pd.DataFrame(rows)


# --- who the people are


def test_people_of_deeplesion(tmp_path):
    """Sites are numbered from 1, and -1 is unknown."""
    columns = ["File_name", "Patient_index", "Measurement_coordinates", "Bounding_boxes",
               "Spacing_mm_px_", "DICOM_windows", "Train_Val_Test", "Coarse_lesion_type",
               "Patient_gender", "Patient_age"]  # fmt: skip
    rows = [
        ["1_1_1_1.png", 1, "", "", "", "", 1, -1, "F", 62],
        ["1_1_1_1.png", 1, "", "", "", "", 2, 4, "M", "NaN"],
        ["1_1_1_2.png", 1, "", "", "", "", 2, 8, "", 0],
    ]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "DL_info.csv", index=False)
    found = read_attributes("deeplesion", tmp_path / "DL_info.csv")
    assert list(found.index) == ["1_1_1_1-1", "1_1_1_1-2", "1_1_1_2-1"]
    assert list(found["sex"]) == ["female", "male", ""]
    assert list(found["site"]) == ["", "liver", "pelvis"]
    np.testing.assert_array_equal(found["age"], [62, np.nan, 0])


def test_people_of_own_marks(tmp_path):
    """The table may have the columns; its rows without an id are called after their line."""
    (tmp_path / "marks.csv").write_text("id;image;Sex;age\nm1;a.png;f;50\n;b.png;diverse;\n")
    found = read_attributes("custom", tmp_path / "marks.csv")
    assert list(found.index) == ["m1", "mark-00002"]
    assert list(found["sex"]) == ["female", "diverse"]
    assert list(found["site"]) == ["", ""]


@pytest.mark.parametrize("loader", ["lits", "lits_liver", "ham10k"])
def test_a_dataset_without_a_table_tells_nothing(loader):
    assert read_attributes(loader, None).empty


def test_sizes_are_in_mm_where_every_pixel_size_is_known(samples_csv, metadata_csv):
    samples = pd.read_csv(samples_csv, dtype={"id": str}).set_index("id")
    known = read_attributes("ham10k", metadata_csv)
    assert set(describe_people(samples, known)["unit"]) == {"px"}
    samples["mm_per_px_x"], samples["mm_per_px_y"] = 0.5, 0.5
    in_mm = describe_people(samples, known)
    assert set(in_mm["unit"]) == {"mm"}
    np.testing.assert_allclose(in_mm["size"], [5, 10, 15, 20, 25, 30, 35, 40])
    samples.loc["s8", "mm_per_px_x"] = np.nan
    assert set(describe_people(samples, known)["unit"]) == {"px"}


def test_the_long_diameter_of_a_size_is_the_one_that_is_longer_in_the_patient(samples_csv):
    samples = pd.read_csv(samples_csv, dtype={"id": str}).set_index("id").loc[["s1"]]
    samples[RECIST_COLUMNS] = [0.0, 5.0, 10.0, 5.0, 5.0, 2.0, 5.0, 10.0]  # 10 px along x, 8 along y
    samples["mm_per_px_x"], samples["mm_per_px_y"] = 0.5, 2.0
    nobody = pd.DataFrame(columns=["sex", "age", "site"])
    assert describe_people(samples, nobody)["size"].tolist() == [16.0]
    samples["mm_per_px_y"] = np.nan
    assert describe_people(samples, nobody)["size"].tolist() == [10.0]


def test_subgroups_of_known_people(people):
    found = {name: groups for name, groups in subgroups_of(people)}
    assert list(found["sex"].cat.categories) == ["female", "male", "not known"]
    by_age = ["under 40", "40 to 59", "80 and more", "60 to 79", "not known", "60 to 79",
              "under 40", "80 and more"]  # fmt: skip
    assert list(found["age"]) == by_age
    assert list(found["site"])[-1] == "not known"
    assert list(found["size"].cat.categories) == ["up to 33.3 px", "33.3 to 56.7 px",
                                                  "above 56.7 px"]  # fmt: skip
    assert found["size"].value_counts().to_dict() == {"up to 33.3 px": 3, "33.3 to 56.7 px": 2,
                                                      "above 56.7 px": 3}  # fmt: skip


def test_samples_without_a_mark_are_not_among_the_largest(people):
    """As images without the organ, whose size is unknown."""
    people.loc["s6", "size"] = np.nan
    size = dict(subgroups_of(people))["size"]
    assert size["s6"] == "no mark"
    assert size["s8"].startswith("above")
    assert list(size.cat.categories)[-1] == "no mark"


def test_what_is_known_of_nobody_makes_no_subgroup(people):
    nobody = people.assign(sex="", site="", age=np.nan, size=10.0)
    assert list(subgroups_of(nobody)) == []


def test_people_are_counted_by_split(people):
    counts = count_people(people).set_index(["attribute", "value", "split"])
    assert counts.loc[("sex", "male", "test"), "n_samples"] == 2
    assert counts.loc[("sex", "female", "val"), "n_groups"] == 1
    assert counts.loc[("sex", "male", "val"), "n_samples"] == 0


# --- scores by subgroup, and failures


def test_scores_of_subgroups_by_hand(people):
    scores = pd.concat([scores_of(seed=1), scores_of(seed=2, change=0.02)])
    table = score_subgroups(scores, people, "worst_possible").set_index(["attribute", "value"])
    assert table.loc[("sex", "male"), "mean"] == pytest.approx(81)
    assert table.loc[("sex", "female"), "mean"] == pytest.approx(31)
    assert table.loc[("sex", "not known"), "mean"] == pytest.approx(21)
    assert table.loc[("sex", "female"), ["n_samples", "n_groups", "n_seeds"]].tolist() == [3, 3, 2]
    low, high = table.loc[("sex", "female"), ["ci_low", "ci_high"]]
    assert low < 31 < high
    assert table.loc[("sex", "not known"), "unknown"]  # one group has no interval
    # only the six test samples: thirds of 10 to 60
    assert table.loc[("size", "up to 26.7 px"), "mean"] == pytest.approx(81)


def test_each_person_counts_once_in_a_subgroup_where_groups_are_the_unit(people):
    scores = scores_of()
    scores.loc[scores["id"].isin(["s3", "s4"]), "group"] = "a woman with two lesions"
    table = score_subgroups(scores, people, "worst_possible", unit="group")
    women = table.set_index(["attribute", "value"]).loc[("sex", "female")]
    assert women["mean"] == pytest.approx((40 + 10) / 2)  # of 50 and 30, and of 10
    assert women[["n_samples", "n_groups"]].tolist() == [3, 2]


def test_the_worst_images_come_first(people):
    scores = pd.concat([scores_of(seed=1, empty=["s6"]), scores_of(seed=2, change=0.1)])
    worst = worst_samples(scores, people, "worst_possible", number=3)
    assert list(worst["id"]) == ["s6", "s5", "s4"]
    assert list(worst["rank"]) == [1, 2, 3]
    np.testing.assert_allclose(worst["dice"], [15, 25, 35])
    assert list(worst["n_empty"]) == [1, 0, 0]
    assert list(worst["sex"]) == ["female", "", "female"]


def test_an_undefined_score_is_a_failure(people):
    scores = scores_of()
    chosen = (scores["id"] == "s1") & (scores["metric"] == "dice")
    scores.loc[chosen, "value"] = np.nan
    assert worst_samples(scores, people, "exclude", number=1)["id"].tolist() == ["s1"]
    assert worst_samples(scores, people, "worst_possible", number=1)["dice"].tolist() == [0]


# --- the pages


@pytest.fixture
def study(tmp_path, samples_csv, metadata_csv):
    """A study of one training, as the functions of the pages take it."""
    results = tmp_path / "results/own"
    folder = results / "d/p/runs/a1/seed-1"
    folder.mkdir(parents=True)
    scores_of().to_csv(folder / "scores.csv", index=False)
    info = {
        "device": "cpu", "num_parameters": 7, "epochs_run": 3, "settings_sha256": "5e" * 32,
        "code": {"commit": "0123456789abcdef", "dirty": False}, "settings": {"learning_rate": 0.1},
        "versions": {"torch": "2"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(info))
    patches = results / "d/p/patches"
    patches.mkdir(parents=True)
    samples_csv.rename(patches / "samples.csv")
    reasons = [{"reason": "a truncated image", "count": 1, "ids": ["s9"]}]
    account = {"found": 9, "kept": {"train": 1, "val": 1, "test": 6}, "dropped": reasons}
    account |= {"groups": {"train": 1, "val": 1, "test": 6}, "dense_reference": True}
    (patches / "patches.json").write_text(json.dumps(account))
    facts = {"of_d": {"licence": "CC BY-NC 4.0", "restrictions": "no commercial use"}}
    (tmp_path / "datasets.yaml").write_text(json.dumps(facts))
    block = {"dataset": "d", "protocol": "p", "source": "here", "loader": "ham10k"}
    block |= {"samples": str(patches / "samples.csv"), "patches": str(patches / "patches.json")}
    run = {"dataset": "d", "protocol": "p", "arm": "a1", "seed": 1, "network": "resnet18"}
    run |= {"scores": str(folder / "scores.csv"), "run": str(folder / "run.json")}
    run |= {"weights": [str(folder / "model.safetensors")]}
    return {
        "results": results,
        "blocks": [block | {"table": str(metadata_csv)}],
        "runs": [run],
        "common": {"study": "own", "origins": {"d": {"key": "of_d"}}}
        | {"datasets_yaml": tmp_path / "datasets.yaml"},
    }


def write_card(study, unit="sample", **statements):
    papers = study["results"] / "papers"
    write_model_card(
        **study["common"],
        runs=study["runs"],
        blocks=study["blocks"],
        undefined={"p": "worst_possible"},
        statements=statements,
        unit=unit,
        card_html=papers / "model_card.html",
        subgroups_csv=papers / "subgroups.csv",
        failures_csv=papers / "failures.csv",
    )
    return (papers / "model_card.html").read_text()


def write_sheet(study):
    papers = study["results"] / "papers"
    write_data_sheet(
        **study["common"],
        blocks=study["blocks"],
        sheet_html=papers / "data_sheet.html",
        people_csv=papers / "people.csv",
    )
    return (papers / "data_sheet.html").read_text()


def words(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_card_names_licence_scores_and_failures(study):
    page = words(write_card(study, funding="none"))
    assert "no commercial use" in page
    assert "Funding none" in page
    assert "45.00" in page  # mean Dice of the six test samples
    assert "sex: male 2 2 80.00" in page
    assert "a1 1 s6 g6 10.00 0 of 1 female 61 trunk 60 px" in page
    assert "d, protocol p: not recorded" in page


def test_each_group_counts_once_on_the_card_where_groups_are_the_unit(study):
    """As in the main table: five groups, one of them with the images of 50 and 30 %."""
    scores = scores_of()
    scores.loc[scores["id"].isin(["s3", "s4"]), "group"] = "two images"
    scores.to_csv(study["runs"][0]["scores"], index=False)
    said = "Each group counts once in the means of arms and subgroups"
    per_image, per_group = (words(write_card(study, unit)) for unit in ("sample", "group"))
    assert "45.00 no interval" in per_image
    assert said not in per_image
    assert "46.00 no interval" in per_group
    assert said in per_group


def test_the_card_shows_what_the_network_saw(study):
    run_json = study["runs"][0]["run"]
    with open(run_json) as stream:
        info = json.load(stream)
    info["data"] = {"modality": "CT", "window_hu": [-160, 240], "lesion_px": {"low": 3.5}}
    with open(run_json, "w") as stream:
        json.dump(info, stream)
    page = words(write_card(study))
    assert "window hu -160, 240" in page
    assert "lesion px low 3.5" in page
    assert "not recorded" not in page.partition("What the networks saw")[2].partition("Test")[0]


def test_the_sheet_counts_and_says_what_is_missing(study):
    page = words(write_sheet(study))
    assert "Licence CC BY-NC 4.0" in page
    assert "Dates not recorded" in page
    assert "sex: male 1 1 group 0 0 groups 2 2 groups" in page
    assert "a truncated image 1 s9" in page
    # of eight samples, one has no sex, one no age, two no site, and none a size of its pixels
    assert "d p 1 1 2 8 8" in page


def test_the_sheet_of_a_dataset_without_people_has_no_section_of_them(study):
    study["blocks"][0] |= {"loader": "lits", "table": None}
    assert 'id="people"' not in write_sheet(study)


def test_what_a_study_states_of_its_data_holds(tmp_path):
    (tmp_path / "facts.yaml").write_text("lits: {licence: CC0, source: here}")
    origins = {"mine": {"key": "mine", "licence": "none"}, "ct": {"key": "lits", "licence": "ours"}}
    assert facts_of(tmp_path / "facts.yaml", origins, ["ct", "mine", "ct"]) == {
        "ct": {"licence": "ours", "source": "here"},
        "mine": {"licence": "none"},
    }


# --- evidence


@pytest.fixture
def files(study, tmp_path):
    clone = tmp_path / "clone"
    (clone / "notes").mkdir(parents=True)
    (clone / "notes/page.md").write_text("# Page\n\n## The paper's `run.json`, in full\n")
    tables = study["results"] / "tables"
    tables.mkdir()
    (tables / "table1.csv").write_text("mean,ci_low\n1,\n2,\n")
    write_card(study, ethics="not needed")
    write_sheet(study)
    return StudyFiles(
        results=study["results"],
        clone=clone,
        main_table="table1",
        items={"sweep": ["figure2"]},
        blocks=study["blocks"],
        runs=study["runs"],
        facts={"d": {"licence": "CC0"}},
        statements={"ethics": "not needed"},
    )


RUN_JSON, SAMPLES = "d/p/runs/a1/seed-1/run.json", "d/p/patches/samples.csv"


@pytest.mark.parametrize(
    ("rule", "evidence"),
    [
        ({"file": "tables/table1.csv"}, "tables/table1.csv"),
        ({"code": "notes/page.md"}, "repository/notes/page.md"),
        ({"doc": "notes/page.md#the-papers-runjson-in-full"},
         "repository/notes/page.md#the-papers-runjson-in-full"),
        ({"table": "main", "columns": ["mean"]}, "tables/table1.csv"),
        ({"run": "settings.learning_rate"}, RUN_JSON),
        ({"patches": "dropped"}, "d/p/patches/patches.json"),
        ({"samples": "split"}, SAMPLES),
        ({"apart": "groups"}, SAMPLES),
        ({"dataset": "licence"}, "papers/data_sheet.html#origin"),
        ({"statement": "ethics"}, "papers/model_card.html#statement-ethics"),
        ({"card": "intended_use"}, "papers/model_card.html#intended_use"),
        ({"data_sheet": "people"}, "papers/data_sheet.html#people"),
        ({"seeds": 1}, "papers/model_card.html#models"),
        ({"kind": ["sweep"]}, "tables/figure2.csv"),
        ({"failures": "all"}, "papers/failures.csv"),
        ({"subgroups": ["size", "sex"]}, "papers/subgroups.csv"),
    ],
)  # fmt: skip
def test_a_rule_names_what_it_found(files, rule, evidence):
    if "subgroups" in rule:  # one seed gives no interval
        table = pd.read_csv(files.results / "papers/subgroups.csv").assign(ci_low=1.0)
        table.to_csv(files.results / "papers/subgroups.csv", index=False)
    found = check_item([rule], files)
    assert found.lacking == ""
    assert found.evidence[0] == evidence


@pytest.mark.parametrize(
    ("rule", "lacking"),
    [
        ({"file": "index.html"}, "the study has no index.html"),
        ({"code": "LICENSE"}, "the repository has no LICENSE"),
        ({"doc": "notes/page.md#other"}, "notes/page.md has no section other"),
        ({"table": "main", "columns": ["ci_low"]}, "tables/table1.csv has no value of ci_low"),
        ({"table": "other", "columns": []}, "no tables/other.csv"),
        ({"run": "wall_s"}, f"{RUN_JSON} without wall_s"),
        ({"patches": "notes"}, "d/p/patches/patches.json without notes"),
        ({"samples": "mm_per_px_x"}, f"{SAMPLES} without mm_per_px_x"),
        ({"dataset": "period"}, "period unknown of d"),
        ({"statement": "funding"}, "no statements.funding in the configuration"),
        ({"card": "other"}, "papers/model_card.html has no section other"),
        ({"models": "all"}, "no d/p/runs/a1/seed-1/model.safetensors"),
        ({"seeds": 2}, "fewer than 2 seeds: d p a1"),
        ({"kind": ["policies"]}, "the study has no item of kind policies"),
        ({"subgroups": ["sex"]}, "no interval by sex for d"),
    ],
)  # fmt: skip
def test_a_rule_names_what_is_missing(files, rule, lacking):
    assert check_item([rule], files).lacking == lacking


def test_a_group_in_two_splits_is_found(files):
    path = files.results / SAMPLES
    path.write_text(path.read_text().replace("s8,g8,val", "s8,g1,val"))
    assert "a group is in several splits" in check_item([{"apart": "groups"}], files).lacking


def test_a_study_that_trains_nothing_shows_no_network(files):
    nothing = StudyFiles(**{**files.__dict__, "runs": []})
    for rule in ({"run": "seed"}, {"models": "all"}, {"seeds": 2}):
        assert check_item([rule], nothing).lacking


def test_all_rules_must_hold_and_no_rule_shows_nothing(files):
    both = check_item([{"file": "tables/table1.csv"}, {"file": "index.html"}], files)
    assert (both.evidence, both.lacking) == (["tables/table1.csv"], "the study has no index.html")
    assert check_item([], files).lacking
    with pytest.raises(ValueError, match="no rule of kind tick"):
        check_item([{"tick": "yes"}], files)


def test_the_page_is_red_where_a_rule_fails(files, tmp_path):
    lists = {"own": {"title": "Own", "source": "us", "items": [
        [1, "A table", [{"table": "main", "columns": ["mean"]}]],
        ["2a", "A page", [{"doc": "notes/page.md#page"}]],
        ["2b", "Funding", [{"statement": "funding"}]],
    ]}}  # fmt: skip
    (tmp_path / "lists.yaml").write_text(json.dumps(lists))
    papers = files.results / "papers"
    write_checklist(
        study="own", results=files.results, main_table="table1",
        citation_cff=files.clone / "CITATION.cff",
        items_by_kind={}, blocks=files.blocks, runs=files.runs, origins={"d": {"key": "of_d"}},
        datasets_yaml=tmp_path / "datasets.yaml", checklists_yaml=tmp_path / "lists.yaml",
        statements={}, checklist_csv=papers / "checklist.csv",
        checklist_html=papers / "checklist.html",
    )  # fmt: skip
    table = pd.read_csv(papers / "checklist.csv", dtype=str)
    assert list(table["state"]) == ["shown", "shown", "missing"]
    page = (papers / "checklist.html").read_text()
    assert page.count('<tr class="missing">') == 1
    assert page.count('<tr class="shown">') == 2
    for href in re.findall(r'<td class="text"><a href="([^"#]+)', page):
        assert (papers / href).is_file(), href


# --- the release folder


def gather(study, files, root, **changes):
    """Gather the release of the study, with a clone that has little more than a licence."""
    for name in ("LICENSE", "CITATION.cff"):
        (files.clone / name).write_bytes((root / name).read_bytes())
    lists = {"own": {"title": "Own", "source": "us", "items": [
        [1, "A page", [{"doc": "notes/page.md#page"}]],
    ]}}  # fmt: skip
    folder = files.results
    lists_yaml = folder.parent / "lists.yaml"
    lists_yaml.write_text(json.dumps(lists))
    common = study["common"] | {"blocks": study["blocks"], "statements": {}}
    common |= {
        "results": folder,
        "citation_cff": files.clone / "CITATION.cff",
        "checklists_yaml": lists_yaml,
    }
    write_checklist(
        **common, main_table="table1", items_by_kind={}, runs=study["runs"],
        checklist_csv=folder / "papers/checklist.csv",
        checklist_html=folder / "papers/checklist.html",
    )  # fmt: skip
    more = {name: study["runs"] for name in ("runs", "carded", "models")} | changes
    gather_release(**common, **more, release_dir=folder / "release")
    return folder / "release"


@pytest.fixture
def weights(study):
    path = Path(study["runs"][0]["run"]).with_name("model.safetensors")
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def timed(study):
    run_json = Path(study["runs"][0]["run"])
    run_json.write_text(json.dumps(json.loads(run_json.read_text()) | {"wall_s": 12.5}))


def test_a_release_has_what_its_list_of_checksums_has(study, files, root, weights, timed):
    (weights.parent / "export").mkdir()
    (weights.parent / "export/model.onnx").write_bytes(b"onnx")
    images = files.results / "d/p/patches/images.npy"
    images.write_bytes(b"pixels")
    release = gather(study, files, root)
    lines = (release / "SHA256SUMS").read_text().splitlines()
    listed = {path: digest for digest, path in (line.split("  ") for line in lines)}
    there = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    assert set(listed) == there - {"SHA256SUMS"}
    assert all(file_digest(release / path) == digest for path, digest in listed.items())
    run = "d/p/runs/a1/seed-1"
    wanted = {f"{run}/{name}" for name in ("run.json", "scores.csv", "model.safetensors")}
    wanted |= {f"{run}/export/model.onnx", "d/p/patches/samples.csv", "d/p/patches/patches.json"}
    wanted |= {"README.md", "LICENSES.md", "LICENSE", "CITATION.cff", ".zenodo.json"}
    wanted |= {"tables/table1.csv", "papers/model_card.html", "repository/notes/page.md"}
    assert wanted | {"ro-crate-metadata.json"} <= there
    assert not [path for path in there if path.endswith(".npy")]  # no image leaves


def test_a_release_has_the_networks_of_all_folds(study, files, root, timed):
    (pooled,) = study["runs"]
    folds = []
    for protocol in ("p@1", "p@2"):
        folder = files.results / f"d/{protocol}/runs/a1/seed-1"
        folder.mkdir(parents=True)
        for name in ("run.json", "scores.csv"):
            shutil.copy(Path(pooled["run"]).with_name(name), folder)
        (folder / "model.safetensors").write_bytes(protocol.encode())
        patches = files.results / f"d/{protocol}/patches"
        patches.mkdir()
        (patches / "samples.csv").write_text(protocol)
        folds.append(pooled | {"protocol": protocol, "run": str(folder / "run.json")})
    release = gather(study, files, root, runs=folds, models=folds)
    for run in (pooled, *folds):
        place = release / f"d/{run['protocol']}"
        assert (place / "patches/samples.csv").is_file()
        assert (place / "runs/a1/seed-1/scores.csv").is_file()
        assert (place / "runs/a1/seed-1/model.safetensors").is_file() == (run in folds)
    actions = ROCrate(release).get_by_type("CreateAction")
    assert sorted(unquote(action["object"].id) for action in actions) == [
        f"d/{run['protocol']}/patches/samples.csv" for run in folds
    ]


def test_the_weights_of_every_fold_are_looked_for(files, weights):
    rule = [{"models": "all"}]
    assert check_item(rule, files).evidence == ["d/p/runs/a1/seed-1/model.safetensors"]
    lost = weights.with_name("lost.safetensors")
    files.runs[0]["weights"].append(str(lost))
    assert check_item(rule, files).lacking == "no d/p/runs/a1/seed-1/lost.safetensors"


def test_links_of_a_released_checklist_stay_inside(study, files, root, weights, timed):
    release = gather(study, files, root)
    page = (release / "papers/checklist.html").read_text()
    (href,) = re.findall(r'<td class="text"><a href="([^"#]+)', page)
    assert (release / "papers" / href).resolve() == release / "repository/notes/page.md"


def test_a_release_is_a_crate_of_its_files_and_trainings(study, files, root, weights, timed):
    release = gather(study, files, root)
    crate = ROCrate(release)
    assert crate.name == "WeakLesion: results of the study own"
    assert crate.root_dataset["license"].id == "LICENSES.md"
    assert crate.root_dataset["datePublished"]
    described = {entity.id: entity for entity in crate.get_by_type("File")}
    there = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    assert set(described) == there - {"SHA256SUMS", "ro-crate-metadata.json"}
    for path, entity in described.items():
        assert entity["sha256"] == file_digest(release / path)
        assert entity["contentSize"] == str((release / path).stat().st_size)
    (action,) = crate.get_by_type("CreateAction")
    assert action["instrument"]["softwareVersion"].endswith(", commit 0123456789abcdef")
    assert action["object"].id == "d/p/patches/samples.csv"
    made = [entity.id.rpartition("/")[2] for entity in action["result"]]
    assert made == ["model.safetensors", "run.json", "scores.csv"]
    assert "3 epochs, 12 s, on cpu" in action["description"]


def test_names_with_hyphens_keep_trainings_apart(tmp_path):
    runs = []
    for dataset, protocol in (("a", "b-c"), ("a-b", "c")):
        block = tmp_path / dataset / protocol
        run_json = block / "runs/a1/seed-1/run.json"
        run_json.parent.mkdir(parents=True)
        told = {"code": {"commit": "0"}, "epochs_run": 1, "wall_s": 1.0, "device": "cpu"}
        run_json.write_text(json.dumps(told))
        (block / "patches").mkdir()
        (block / "patches/samples.csv").touch()
        paths = {"run": run_json, "samples": block / "patches/samples.csv"}
        inside = {key: path.relative_to(tmp_path).as_posix() for key, path in paths.items()}
        runs.append({"name": f"{dataset} {protocol} a1 1"} | inside)
    (tmp_path / "LICENSES.md").touch()
    digests = {run[key]: "0" for run in runs for key in ("run", "samples")} | {"LICENSES.md": "0"}
    about = {"title": "t", "description": "d", "creators": ["c"], "version": "1"}
    write_crate(tmp_path, digests, runs, about | {"licence": "LICENSES.md", "date": "2026-01-01"})
    actions = ROCrate(tmp_path).get_by_type("CreateAction")
    assert {action["object"].id for action in actions} == {run["samples"] for run in runs}


def test_a_licence_of_several_lines_stays_in_its_cell():
    text = licences_text({"own": {"licence": "CC0 | ours\nsince 2026"}}, {"study": "s"})
    (line,) = [line for line in text.splitlines() if line.startswith("| own")]
    assert line.split(" | ")[1] == r"CC0 \| ours since 2026"


def test_a_release_says_which_licences_hold(study, files, root, weights, timed):
    release = gather(study, files, root)
    licences = (release / "LICENSES.md").read_text()
    assert "| d | CC BY-NC 4.0 | no commercial use |" in licences
    zenodo = json.loads((release / ".zenodo.json").read_text())
    assert zenodo["creators"] == [{"name": "The WeakLesion authors"}]
    assert "license" not in zenodo  # the facts name none that Zenodo knows


@pytest.mark.parametrize(
    ("spdx", "licence"),
    [
        (["CC-BY-NC-4.0"], "cc-by-nc-4.0"),
        (["CC-BY-NC-4.0", "CC-BY-NC-4.0"], "cc-by-nc-4.0"),
        (["CC-BY-NC-4.0", "Apache-2.0"], None),
        (["Apache-2.0", None], None),
        (["Own-1.0"], None),
    ],
)
def test_the_licence_of_the_record_is_the_one_that_all_data_have(spdx, licence):
    facts = {str(n): {"spdx": name} if name else {} for n, name in enumerate(spdx)}
    about = {"title": "t", "abstract": "a", "creators": ["c"], "version": "1"}
    assert zenodo_metadata(facts, about).get("license") == licence


def test_a_release_without_weights_is_refused(study, files, root, timed):
    with pytest.raises(DataError, match=r"model\.safetensors: the weights are not there"):
        gather(study, files, root)
    assert not (files.results / "release").exists()


def test_weights_that_are_not_published_may_be_gone(study, files, root, timed):
    release = gather(study, files, root, models=[])
    assert (release / "d/p/runs/a1/seed-1/run.json").is_file()


# --- the four lists


def test_the_lists_have_the_items_of_their_sources(root):
    lists = read_yaml(root / "workflow/resources/checklists.yaml")
    numbers = {name: [item[0] for item in of["items"]] for name, of in lists.items()}
    assert {name: len(found) for name, found in numbers.items()} == {
        "midl": 10, "miccai": 26, "claim": 44, "tripod": 52,
    }  # fmt: skip
    for name in ("midl", "miccai", "claim"):
        assert numbers[name] == list(range(1, len(numbers[name]) + 1))
    of_tripod = [re.sub("[a-z]", "", number) for number in numbers["tripod"]]
    assert list(dict.fromkeys(of_tripod)) == [str(number) for number in range(1, 28)]
    assert len(set(numbers["tripod"])) == 52


def test_every_rule_of_the_lists_can_hold(root):
    """Kinds exist, and so do all files, sections and topics that rules name."""
    schema = read_yaml(root / "workflow/schemas/config.schema.yaml")
    topics = schema["properties"]["statements"]["properties"]
    lists = read_yaml(root / "workflow/resources/checklists.yaml")
    rules = [rule for of in lists.values() for item in of["items"] for rule in item[2]]
    assert len(rules) > 100
    for rule in rules:
        kind, value = next(iter(rule.items()))
        assert kind in RULES, rule
        if kind == "code":
            assert (root / value).is_file(), rule
        elif kind == "doc":
            path, _, anchor = value.partition("#")
            headings = re.findall(r"^#+ (.+)$", (root / path).read_text(), re.MULTILINE)
            assert anchor in map(anchor_of, headings), rule
        elif kind == "statement":
            assert value in topics, rule
        elif kind in ("card", "data_sheet"):
            name = {"card": "model_card"}.get(kind, kind)
            page = root / f"src/weaklesion/report/templates/{name}.html"
            assert f'id="{value}"' in page.read_text(), rule
    asked = {next(iter(rule.values())) for rule in rules if "statement" in rule}
    assert asked == set(topics)


def test_facts_of_datasets_have_known_names(root):
    from weaklesion.report.papers.data_sheet import FACTS

    facts = read_yaml(root / "workflow/resources/datasets.yaml")
    config = read_yaml(root / "config.yaml")
    assert set(facts) == {"phantom", *config["datasets"]} - {"liver"}  # made from files of LiTS
    for name, known in facts.items():
        assert set(known) <= {*FACTS, "spdx"}, name
        licence = (
            config["datasets"][name]["licence"] if name in config["datasets"] else known["licence"]
        )
        assert licence, name
        assert name == "phantom" or "licence" not in known, f"{name}: config.yaml has its licence"

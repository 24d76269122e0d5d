"""The target `release` on a finished study, and the study's papers in a browser."""

import json
import re
import subprocess

import pandas as pd
import pytest
from documented_columns import assert_documented
from rocrate.rocrate import ROCrate
from running import TINY, overlay, planned, snakemake

PAGES = ("model_card", "data_sheet", "checklist")


@pytest.fixture(scope="module")
def papers(finished):
    return finished / "results/tiny/papers"


def test_papers_are_of_the_study(papers):
    groups = pd.read_csv(papers / "subgroups.csv")
    of_ham = groups[groups["dataset"] == "phantom_ham10k"]
    assert set(of_ham["attribute"]) == {"sex", "age", "site", "size"}
    assert set(groups.loc[groups["dataset"] == "phantom_lits", "attribute"]) == {"size"}
    failures = pd.read_csv(papers / "failures.csv")
    assert set(failures["arm"]) == {"a1", "a1l"}
    checklist = pd.read_csv(papers / "checklist.csv", dtype=str)
    state = checklist.set_index(["checklist", "number"])["state"]
    assert state["claim", "23"] == state["miccai", "24"] == state["tripod", "18f"] == "shown"
    assert state["claim", "33"] == state["tripod", "18a"] == "missing"
    assert {"`papers/subgroups.csv`", "`papers/checklist.csv`"} <= assert_documented(papers.parent)


def test_every_link_of_the_papers_leads_to_a_file(papers):
    for name in PAGES:
        page = (papers / f"{name}.html").read_text()
        links = re.findall(r'href="([^"]+)"', page)
        assert links or name == "data_sheet"
        for path, _, anchor in (link.partition("#") for link in links):
            target = papers / path if path else papers / f"{name}.html"
            assert target.is_file(), path
            if anchor and target.suffix == ".html":
                assert f'id="{anchor}"' in target.read_text(), (name, path, anchor)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_screen_and_its_red_is_seen(papers, browser, name):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto((papers / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    lacking = page.locator(".lacking").first
    red, green, blue = map(
        int,
        re.findall(r"\d+", lacking.evaluate("e => getComputedStyle(e).color"))[:3],
    )
    assert red > 2 * max(green, blue)
    page.close()


@pytest.mark.slow
def test_a_release_is_whole_and_valid(copied):
    snakemake(copied, "release", *TINY)
    folder = copied / "results/tiny/release"
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=folder, check=True, capture_output=True).stdout == b""
    assert len(list(folder.rglob("model.safetensors"))) == 12
    assert json.loads((folder / ".zenodo.json").read_text())["license"] == "apache-2.0"
    crate = ROCrate(folder)
    assert len(crate.get_by_type("CreateAction")) == 12
    for path, _, _ in (
        link.partition("#")
        for link in re.findall(r'href="([^"]+)"', (folder / "papers/checklist.html").read_text())
    ):
        assert not path or (folder / "papers" / path).resolve().is_relative_to(folder), path
        assert not path or (folder / "papers" / path).is_file(), path
    assert "Nothing to be done" in snakemake(copied, "release", *TINY, "-n")


def test_a_release_waits_for_all_that_the_study_makes(tmp_path):
    every, released = (set(planned(tmp_path, target, *TINY)) for target in ("all", "release"))
    assert len(every) > 20
    assert released == every - {"all"} | {"gather_release", "release"}


def test_a_cross_validated_study_is_released_with_the_networks_of_its_folds(tmp_path):
    folds = overlay(tmp_path, {"protocols": {"demo": {"folds": 3}}})
    released = planned(tmp_path, "release", *folds)
    assert released["pool_runs"] * 3 == released["train_arm"]
    assert released["gather_release"] == 1

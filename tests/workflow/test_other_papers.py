"""The studies of the two other papers on phantoms: every kind of network, partner and loss."""

import json
import os
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from documented_columns import assert_documented
from running import planned, snakemake
from test_workflow_items import OF_OTHER_PAPERS

pytestmark = pytest.mark.slow

PAPERS = ("agarwal2020", "cmunet", "three_papers")
STUDIES = [ROOT / f"workflow/studies/{name}.yaml" for name in PAPERS]
TOGETHER = (*STUDIES, ROOT / "tests/other_papers.yaml")
# Without a compiler there is no CRF; where the project itself is tested there is one.
WITHOUT_CRF = {"experiments": {"agarwal_table1": {"arms": ["fcn32", "coseg_d1_adam"]}}}


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    study = [*TOGETHER]
    if find_spec("pydensecrf") is None:
        assert not os.environ.get("CI"), "make crf"
        (folder / "without_crf.yaml").write_text(yaml.safe_dump(WITHOUT_CRF))
        study.append(folder / "without_crf.yaml")
    snakemake(folder, "--configfile", *study)
    return folder / "results/other_papers"


def table(papers, name):
    return pd.read_csv(papers / "tables" / f"{name}.csv")


def test_tables_beside_the_published_values(papers):
    first = table(papers, "agarwal_table1").set_index(["arm", "metric"])
    assert first["mean"].notna().all()
    # a phantom is not the papers' dataset: no published value stands beside it
    assert first["published_mean"].isna().all()
    arms = table(papers, "agarwal_table3")["arm"].unique()
    assert list(arms) == ["coseg_mg_d2", "coseg_mg_d2_danet"]
    assert set(table(papers, "cmu_table1")["arm"]) == {"cmu_unet", "cmu_pretrained", "cmu_net"}


def test_every_column_is_documented(papers):
    found = assert_documented(papers)
    assert {f"`tables/<item>.csv`, kind `{kind}`" for kind in ("answers", "policies")} <= found


def test_rules_that_no_item_of_the_paper_needs_have_run(papers):
    assert {path.name for path in (papers / "logs").iterdir()} >= OF_OTHER_PAPERS


@pytest.mark.parametrize(("name", "figures"), [("agarwal2020", 2), ("cmunet", 1)])
def test_contours_are_a_target_and_of_the_study(tmp_path, name, figures):
    for target in (["contours"], []):
        jobs = planned(tmp_path, *target, "--configfile", ROOT / f"workflow/studies/{name}.yaml")
        assert jobs["plot_contours"] == figures


def test_contours_of_the_tables_that_have_them(papers):
    drawn = {path.name for path in (papers / "figures").glob("contours.*")}
    assert drawn == {"contours.phantom_deeplesion.agarwal.png", "contours.phantom_liver.cmu.png"}


def test_partners_share_one_network_and_differ(papers):
    runs = papers / "phantom_deeplesion/agarwal/runs"
    chosen = {}
    for name in ("coseg_mg_d2", "coseg_mg_d2_random", "coseg_mg_d2_itself"):
        folder = runs / name / "seed-1"
        assert (folder / "model.safetensors").exists() == (name == "coseg_mg_d2")
        chosen[name] = pd.read_csv(folder / "predictions.csv")
    samples = pd.read_csv(papers / "phantom_deeplesion/agarwal/patches/samples.csv")
    train = set(samples.loc[samples["split"] == "train", "id"])
    for name in ("coseg_mg_d2", "coseg_mg_d2_random"):
        assert set(chosen[name]["partner"]) <= train
    assert "partner" not in chosen["coseg_mg_d2_itself"]
    assert not chosen["coseg_mg_d2"]["partner"].equals(chosen["coseg_mg_d2_random"]["partner"])


def test_settings_are_those_of_the_papers_but_for_size(papers):
    agarwal = json.loads(
        (papers / "phantom_deeplesion/agarwal/runs/coseg_mg_d2/seed-1/run.json").read_text()
    )["settings"]
    assert agarwal["network"] == {
        "channels": "se", "places": "mean", "decoder": "d2", "multi_grid": True
    }  # fmt: skip
    assert agarwal["optimizer"] == "sgd"
    assert (agarwal["momentum"], agarwal["weight_decay"]) == (0.99, 0.0005)
    cmu = papers / "phantom_liver/cmu/runs"
    told = {
        arm: json.loads((cmu / arm / "seed-1/run.json").read_text())
        for arm in ("cmu_unet", "cmu_encoder", "cmu_pretrained", "cmu_net")
    }
    assert told["cmu_pretrained"]["inputs_sha256"]["start"]
    assert "start" not in told["cmu_unet"]["inputs_sha256"]
    assert told["cmu_encoder"]["settings"]["segmentation_weight"] == 0
    assert told["cmu_net"]["settings"]["focal_weights"] == [0.2, 0.8]


def test_stratified_split_and_clusters_of_embeddings(papers):
    stage = papers / "phantom_deeplesion/agarwal"
    samples = pd.read_csv(stage / "patches/samples.csv")
    assert samples["split"].value_counts(normalize=True)["train"] == pytest.approx(0.8, abs=0.05)
    clusters = pd.read_csv(stage / "clusters/k3_embedding.csv")
    assert sorted(clusters["id"]) == sorted(samples["id"])
    lengths = np.linalg.norm(np.load(stage / "clusters/embeddings.npy"), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_slices_without_liver_and_their_label(papers):
    policies = table(papers, "empty_masks")
    assert len(set(policies["policy"])) == 4
    counted = policies[policies["metric"] == "dice"].groupby("policy")["n_counted"].first()
    assert counted["with_reference"] < counted["correct_empty"]
    assert set(table(papers, "slice_labels")["arm"]) == {"cmu_encoder", "cmu_net"}


def test_three_answers_on_one_page(papers):
    answers = table(papers, "answers")
    assert list(answers["paper"].unique()) == [
        "Chu et al. 2021", "Agarwal et al. 2020", "Moseley et al."
    ]  # fmt: skip
    assert answers["gain"].notna().all()
    assert set(answers["answer"]) == {"undecided"}  # one seed decides nothing
    assert "Moseley et al." in (papers / "tables/answers.html").read_text()

"""What the rules of networks that see the mark read, and what they read never."""

import re

import pytest
from running import overlay, snakemake

pytestmark = pytest.mark.slow

STUDY = {
    "seeds": [1],
    "arms": {"pupil": {"base": "prompted_refined_robust", "taught_by": "prompted_refined_gated"}},
    "select": {"items": ["prompted", "mark_noise3"]},
    "experiments": {
        "prompted": {
            "datasets": ["ham10k"],
            "arms": ["ellipse", "shrunken", "prompted_copy", "prompted", "prompted_refined",
                     "prompted_dense", "pupil"],
        },
    },
}  # fmt: skip

REPORTING = {
    "score_predictions", "tabulate_scores", "plot_contours", "write_model_card", "write_data_sheet",
    "write_checklist", "papers", "all",
}  # fmt: skip


def jobs_of(output):
    """Rule, inputs and outputs of every job of a dry run."""
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", output):
        name = re.match(r"(?:local)?rule (\w+):", block.strip())
        if name:
            files = [re.search(rf"^    {key}: (.*)$", block, re.MULTILINE)
                     for key in ("input", "output")]  # fmt: skip
            yield name[1], *(set(found[1].split(", ")) if found else set() for found in files)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompted")
    return list(jobs_of(snakemake(folder, "-n", *overlay(folder, STUDY))))


def test_dense_masks_are_read_where_predictions_are_scored_and_nowhere_before(planned):
    names = {name for name, _, _ in planned}
    assert {"choose_prior_weight", "draw_refined", "draw_shrunken", "choose_warp"} <= names
    readers = [
        (name, sorted(made))
        for name, read, made in planned
        if any(path.endswith("patches/reference.npy") for path in read)
    ]
    assert {name for name, _ in readers} == {
        "score_predictions",
        "plot_contours",  # of predictions and scores, for the report
        "train_arm",  # the bound alone, which is trained on dense masks of the training split
    }
    trained = [made for name, made in readers if name == "train_arm"]
    assert len(trained) == 1
    assert all("/prompted_dense/" in path for path in trained[0])
    # and nothing that is made of a score, or of the bound, is read by a training or a prediction
    after = {path for name, _, made in planned if name == "score_predictions" for path in made}
    after |= set(trained[0])
    for name, read, made in planned:
        if name in REPORTING:
            continue
        if any("/prompted_dense/" in path for path in made):
            continue
        assert not read & after, name


def test_a_warp_is_chosen_once_for_all_arms_that_take_it(planned):
    chosen = {
        path.rsplit("/", 1)[1]
        for name, _, made in planned
        if name == "choose_warp"
        for path in made
    }
    assert chosen == {f"{arm}{ending}" for arm in ("prompted", "prompted_refined")
                      for ending in (".json", "_recovery.csv")}  # fmt: skip
    reads = {
        next(iter(made)).split("/runs/")[1].split("/")[0]: {
            path for path in read if "/warps/" in path
        }
        for name, read, made in planned
        if name == "train_arm"
    }
    of_arm = {arm: {path.rsplit("/", 1)[1] for path in paths} for arm, paths in reads.items()}
    assert of_arm == {
        "prompted": {"prompted.json"},
        "prompted_refined": {"prompted_refined.json"},
        "prompted_dense": {"prompted_refined.json"},
        "prompted_copy": set(),
        "pupil": {"prompted_refined.json"},
    }


def test_a_pupil_is_trained_on_the_masks_of_its_teacher_and_on_no_others(planned):
    (taught,) = (made for name, _, made in planned if name == "teach_arm")
    folder = "results/tiny/phantom_ham10k/demo_source/runs/prompted_refined_gated/seed-1"
    assert {f"{folder}/taught.npy", f"{folder}/taught.csv"} <= taught
    read = [read for name, read, made in planned if name == "train_arm"
            and any("/pupil/" in path for path in made)]  # fmt: skip
    assert len(read) == 1
    assert taught <= read[0]
    assert not any(path.endswith(("refined.npy", "reference.npy")) for path in read[0])


def test_perturbed_marks_are_given_to_what_is_compared_under_them(planned):
    given = {
        next(iter(made)).split("/runs/")[1].split("/")[0]: {
            path.rsplit("/", 1)[1] for path in read if "/targets/" in path
        }
        for name, read, made in planned
        if name in ("predict_arm", "predict_target")
    }
    assert given["prompted_refined"] == {"ellipses.csv"}
    assert given["prompted_refined_noise3"] == {"ellipses_noise3.csv"}
    assert given["ellipse_noise3"] == {"ellipse_noise3.npy", "ellipses_noise3.csv"}
    assert given["ellipse"] == {"ellipse.npy", "ellipses.csv"}

"""The protocols' switches, from what the released code does and the paper's text states.

Each value is written out here a second time, so that a slip in `config.yaml` cannot pass.
"""

import pytest

from weaklesion.study.arms import training_settings
from weaklesion.study.protocols import patch_settings, stage_settings
from weaklesion.support.yaml_files import read_yaml

RELEASED = {
    "ham10k": {
        "patches": {"side_px": 120, "image_resize": "bilinear", "channel_order": "bgr",
                    "split": "image", "simulated_marks": "hull_ellipse"},
        "supervision": {"center": "midpoint", "outline_px": 0.0, "soft_edges": False},
        "grabcut": {"shrink_px": 0, "cast_to_01": False, "min_px": 1},
        "clusters": {"encoding": "opencv"},
    },
    "lits": {
        "patches": {"side_px": 120, "window_hu": [0, 255], "margin_px": 18, "border": "clip",
                    "min_ellipse_iou": 0.4, "simulated_marks": "hull_ellipse"},
        "supervision": {"center": "midpoint", "outline_px": 0.0, "soft_edges": True},
        "grabcut": {"shrink_px": 2, "cast_to_01": False, "min_px": 10},
        "clusters": {"encoding": "opencv"},
    },
    "deeplesion": {
        "patches": {"side_px": 120, "scale_marks": False, "split": "official",
                    "dropped_rows": [24897, 3136, 5780, 9239, 14485, 29866, 14474, 6768]},
        "supervision": {"center": "intersection", "outline_px": 2.1, "soft_edges": False},
        "grabcut": {"shrink_px": 2, "cast_to_01": True, "min_px": 1},
        "clusters": {"encoding": "clicked"},
    },
}  # fmt: skip
REPAIRED = {
    "ham10k": {"image_resize": "area", "channel_order": "rgb"},
    "lits": {"window_hu": [-160, 240], "margin_px": 20, "border": "replicate",
             "min_ellipse_iou": 0.0},
    "deeplesion": {"scale_marks": True, "dropped_rows": [], "split": "official"},
}  # fmt: skip
PLAIN = {"center": "midpoint", "outline_px": 0.0, "soft_edges": False}
PLAIN_GRABCUT = {"init": "trimap", "iterations": 5, "zero_outside": False, "shrink_px": 0,
                 "cast_to_01": False, "min_px": 1}  # fmt: skip
# what a metric is called in the paper, and what it is
CODE = {"PerimeterError": "perimeter_error_canny_half", "AVD": "hausdorff"}
TEXT = {"PerimeterError": "perimeter_error", "AVD": "average_hausdorff"}
SCORING = {"released": ("released", CODE), "stated": ("stated", TEXT),
           "corrected": ("worst_possible", CODE)}  # fmt: skip
# a training of the released code beside section 4's: what differs
A1 = {"batch_size": 10, "learning_rate": 0.001, "checkpoint": "best_loss", "patience": 5,
      "classification_weight": 0.0}  # fmt: skip
A1L = A1 | {"segmentation_weight": 50, "classification_weight": 1}
ACOSEG = A1 | {"batch_size": 8, "learning_rate": 0.00001, "segmentation_weight": 2,
               "pairs": "random", "steps_per_batch": 2, "zero_gradients": False, "clip_norm": 0.05,
               "drop_last": True}  # fmt: skip
BY_DICE = {"checkpoint": "best_dice"}
TRAININGS = {
    ("ham10k", "a1"): A1 | {"segmentation_weight": 100},
    ("ham10k", "a1l"): A1L | {"checkpoint": "last_if_stopped"},
    ("ham10k", "acoseg_released"): ACOSEG,
    ("lits", "a1"): A1 | {"segmentation_weight": 1} | BY_DICE,
    ("lits", "a1l"): A1L | BY_DICE,
    ("lits", "acoseg_released"): ACOSEG | {"patience": 4} | BY_DICE,
    ("deeplesion", "a1"): A1 | {"segmentation_weight": 100},
    ("deeplesion", "a1l"): A1L,
    ("deeplesion", "acoseg_released"): ACOSEG,
}
NEVER = {"augmentation": "none", "schedule": "constant", "optimizer": "adam", "epochs": 50,
         "weight_decay": 0.0, "encoder": "resnet101", "weights": "imagenet",
         "segmentation_loss": "bce", "input_px": 120}  # fmt: skip


@pytest.fixture(scope="module")
def config(root):
    return read_yaml(root / "config.yaml")


def only(settings, keys):
    return {key: settings[key] for key in keys}


@pytest.mark.parametrize("dataset", RELEASED)
def test_released_patches_and_targets_are_the_released_codes(config, dataset):
    expected = RELEASED[dataset]
    patches = patch_settings(config, dataset, "released")
    assert only(patches, expected["patches"]) == expected["patches"]
    supervision = stage_settings(config, dataset, "released", "supervision")
    assert only(supervision, expected["supervision"]) == expected["supervision"]
    grabcut = {"init": "rect", "iterations": 5, "zero_outside": True} | expected["grabcut"]
    assert supervision["grabcut"] == grabcut
    clusters = stage_settings(config, dataset, "released", "clusters")
    assert only(clusters, ["encoding", "fit_on", "seed"]) == (
        expected["clusters"] | {"fit_on": "all", "seed": 0}
    )


@pytest.mark.parametrize(("dataset", "arm"), TRAININGS)
def test_released_trainings_are_the_released_codes(config, dataset, arm):
    settings = training_settings(config, dataset, "released", arm)
    expected = TRAININGS[dataset, arm] | NEVER | {"pad_to": [384, 480], "loss_region": "map"}
    assert only(settings, expected) == expected


@pytest.mark.parametrize("protocol", ["stated", "corrected"])
@pytest.mark.parametrize("dataset", RELEASED)
def test_the_other_protocols_have_no_defect_of_the_released_code(config, dataset, protocol):
    patches = patch_settings(config, dataset, protocol)
    assert only(patches, REPAIRED[dataset]) == REPAIRED[dataset]
    supervision = stage_settings(config, dataset, protocol, "supervision")
    assert only(supervision, PLAIN) == PLAIN
    assert supervision["grabcut"] == PLAIN_GRABCUT
    clusters = stage_settings(config, dataset, protocol, "clusters")
    fit_on = {"stated": "all", "corrected": "train"}[protocol]
    assert only(clusters, ["encoding", "fit_on"]) == {"encoding": "raw", "fit_on": fit_on}
    for arm, settings in (("a1", A1 | {"segmentation_weight": 1}), ("a1l", A1L)):
        expected = settings | NEVER | {"pad_to": [128, 128], "loss_region": "patch"}
        assert only(training_settings(config, dataset, protocol, arm), expected) == expected


def test_only_corrected_keeps_the_images_of_a_lesion_together(config):
    splits = {name: patch_settings(config, "ham10k", name)["split"] for name in SCORING}
    assert splits == {"released": "image", "stated": "image", "corrected": "group"}


@pytest.mark.parametrize("protocol", SCORING)
def test_each_protocol_scores_as_it_says(config, protocol):
    undefined, names = SCORING[protocol]
    scoring = stage_settings(config, "lits", protocol, "scoring")
    assert scoring["undefined"] == undefined
    assert only(scoring["published_as"], names) == names

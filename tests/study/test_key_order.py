"""The order in which a study writes its keys makes no job run again."""

import random
from types import SimpleNamespace

import pytest
from conftest import ROOT

from weaklesion.study.arms import arm_definition, has_network
from weaklesion.study.jobs import Jobs
from weaklesion.study.key_order import in_fixed_order
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import merge, patch_settings, protocol_settings
from weaklesion.support.yaml_files import read_yaml

PAPER = read_yaml(ROOT / "config.yaml")
SCHEMA = read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "workflow/studies").glob("*.yaml"))]
WHOLE = ("recovery", "short_training", "crf", "nnunet", "statements", "readers", "mark_noise")


def shuffled(value, order):
    """The same settings, with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(entry, order) for entry in value] if isinstance(value, list) else value


def params(config):
    """What rules get as params, by name; names of one's own choice are sorted."""
    jobs, found = Jobs(config, Layout("any")), {}
    newest = list(config["datasets"])[-1]
    switches = [(stage, key) for stage in ("supervision", "clusters")
                for key in protocol_settings(config, "corrected")[stage]]  # fmt: skip
    for key in WHOLE:
        value = config[key]
        found[key] = sorted(value.items()) if key in ("readers", "mark_noise") else value
    for dataset, definition in config["datasets"].items():
        found[dataset, "phantom"] = definition.get("phantom")
        for protocol in config["protocols"]:
            place = SimpleNamespace(dataset=dataset, protocol=protocol)
            found[dataset, protocol] = patch_settings(config, dataset, protocol)
            for switch in switches:
                found[dataset, protocol, *switch] = jobs.switched(*switch)(place)
            for arm in config["arms"] if dataset in ("ham10k", newest) else ():
                if has_network(config, arm):
                    settings = jobs.training_settings(SimpleNamespace(**vars(place), arm=arm))
                    found[dataset, protocol, arm] = settings
    for arm in config["arms"]:
        found[arm] = arm_definition(config, arm).get("network")
    return {key: repr(value) for key, value in found.items()}


def ordered(study):
    return in_fixed_order(merge(PAPER, study), PAPER, SCHEMA)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_has_the_same_params_with_its_keys_in_any_order(path):
    study = read_yaml(path)
    as_written, fixed = merge(PAPER, study), ordered(study)
    assert fixed == as_written
    expected = params(as_written)  # so results that were made before orders were fixed stay
    assert params(fixed) == expected
    assert params(ordered(shuffled(study, random.Random(3)))) == expected


def test_limits_phantoms_networks_and_exceptions_have_a_fixed_order():
    changes = {"datasets": ["mine"], "training": {"epochs": 2, "ema": 0.9}}
    study = {
        "datasets": {
            "mine": {
                "loader": "ham10k",
                "limit": {"val": 5, "train": 20},
                "phantom": {"seed": 1, "height_px": 64, "num_images": 20, "width_px": 64},
            }
        },
        "arms": {"new": {"base": "a1", "network": {"multi_grid": True, "decoder": "d1"}}},
        "protocols": {"own": {"exceptions": [changes]}},
    }
    plain = ordered(study)
    assert list(plain["datasets"]["mine"]["limit"]) == ["train", "val"]
    for seed in range(5):
        other = ordered(shuffled(study, random.Random(seed)))
        for key, name in (("datasets", "mine"), ("arms", "new"), ("protocols", "own")):
            assert repr(other[key][name]) == repr(plain[key][name])


def test_names_of_ones_own_choice_keep_their_order():
    names = [*PAPER["arms"], "zebra", "ant"]
    assert (
        list(ordered({"arms": {"zebra": {"base": "a1"}, "ant": {"base": "a1"}}})["arms"]) == names
    )

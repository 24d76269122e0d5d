"""Settings state type, limits and meaning once: the classes, which the schema must agree with."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
import pytest
import settings_schema
from conftest import ROOT
from jsonschema import Draft202012Validator

from weaklesion.errors import DataError
from weaklesion.networks.names import MODELS, NNUNET
from weaklesion.scoring.statistics import UndefinedPolicy
from weaklesion.segment.settings import SegmentSettings
from weaklesion.study.protocols import merge
from weaklesion.study.settings import NETWORK_PARTS, TrainingSettings
from weaklesion.support.limits import (
    CheckedSettings,
    MinItems,
    Rising,
    above,
    at_least,
    at_most,
    below,
    multiple_of,
    settings_of,
)
from weaklesion.support.yaml_files import read_yaml

SCHEMA = read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
PAPER = read_yaml(ROOT / "config.yaml")
DATASET = SCHEMA["properties"]["datasets"]["additionalProperties"]["properties"]
ARM = SCHEMA["properties"]["arms"]["additionalProperties"]["properties"]
PROTOCOL = SCHEMA["properties"]["protocols"]["additionalProperties"]["properties"]
ITEM = SCHEMA["properties"]["experiments"]["additionalProperties"]["properties"]
KEYS = [
    (name, setting)
    for name, (settings_class, left_out) in settings_schema.CLASSES.items()
    for setting in settings_of(settings_class)
    if setting.name not in left_out and setting.kind is not dict
]
NUMBERS = [-1, -0.5, 0, 0.5, 0.99, 1, 2, 15, 16, 17, 32, 99, 100]
VALUES = [
    *[None, True, False, "no choice", {}, []],
    *NUMBERS,
    *([number] for number in NUMBERS),
    *([number, number + 16] for number in NUMBERS),
    *[[0.5, 1.0, 2.0], ["a", "b"], [True, False]],
]


@dataclass(frozen=True, kw_only=True)
class Example(CheckedSettings):
    count: Annotated[int, at_least(1), "A count."]
    rate: Annotated[float | None, above(0), below(1), "A rate."]
    share: Annotated[float, at_most(1), "A share."] = 1.0
    sizes: Annotated[tuple[int, int], multiple_of(16), "Two sizes."] = (16, 16)
    window: Annotated[tuple[float, float], Rising(), "A window."] = (0, 1)
    weights: Annotated[tuple[float, ...], MinItems(2), "Weights."] = (1, 2)
    mode: Annotated[Literal["one", "two"], "A mode."] = "one"
    exact: Annotated[bool, "Exact or not."] = False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count: a whole number of at least 1 is needed, not 0"),
        ({"count": 1.0}, "count: a whole number .* not 1.0"),
        ({"count": True}, "count: a whole number .* not True"),
        ({"count": "3"}, "count: a whole number .* not '3'"),
        ({"rate": 1}, "rate: a number above 0 and below 1, or null, is needed, not 1"),
        ({"share": 1.5}, "share: a number of at most 1 is needed, not 1.5"),
        ({"share": None}, "share: .* not None"),
        ({"share": float("nan")}, "share: .* not nan"),
        ({"sizes": [16]}, r"sizes: a list of 2 is needed \(each a whole number divisible by 16\)"),
        ({"sizes": [16, 20]}, r"sizes: .* not \[16, 20\]"),
        ({"window": [1, 1]}, r"window: .* the first below the second\), not \[1, 1\]"),
        ({"weights": [1]}, "weights: a list of 2 or more is needed"),
        ({"weights": 3}, "weights: .* not 3"),
        ({"mode": "three"}, "mode: one of one, two is needed, not 'three'"),
        ({"mode": []}, r"mode: .* not \[\]"),
        ({"exact": 1}, "exact: true or false is needed, not 1"),
    ],
)
def test_a_value_outside_its_limits_is_named_with_what_is_allowed(change, message):
    with pytest.raises(ValueError, match=message):
        Example(**{"count": 1, "rate": None} | change)


def test_values_inside_their_limits_are_kept_and_lists_become_tuples():
    made = Example(count=3, rate=0.5, sizes=[32, 16], window=[-1, 1], weights=[1, 2, 3])
    assert (made.count, made.rate, made.sizes) == (3, 0.5, (32, 16))
    assert (made.window, made.weights) == ((-1, 1), (1, 2, 3))


def test_a_field_of_another_kind_is_refused():
    @dataclass
    class Odd:
        when: Annotated[complex, "A time."]

    with pytest.raises(TypeError, match="when: settings are"):
        settings_of(Odd)


def test_every_setting_states_its_meaning():
    for settings_class, _ in settings_schema.CLASSES.values():
        for setting in settings_of(settings_class):
            name = f"{settings_class.__name__}.{setting.name}"
            assert setting.sentence.endswith("."), name
            assert len(setting.sentence) > 5, name


def test_a_new_field_without_a_sentence_is_refused(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class More(TrainingSettings):
        warmup: int = 0

    monkeypatch.setitem(settings_schema.CLASSES, "training", (More, ()))
    with pytest.raises(ValueError, match=r"More\.warmup: has no sentence"):
        settings_schema.definitions()


@pytest.mark.parametrize(("name", "setting"), KEYS, ids=lambda one: getattr(one, "name", one))
def test_schema_and_class_allow_the_same_values(name, setting):
    schema = SCHEMA["$defs"][name]["properties"][setting.name]
    validator = Draft202012Validator(schema | {"$defs": SCHEMA["$defs"]})
    for value in [*VALUES, *setting.choices]:
        assert validator.is_valid(value) == setting.allows(value), value


def test_the_schema_has_the_keys_of_the_classes_and_no_others():
    for name, (settings_class, left_out) in settings_schema.CLASSES.items():
        stated = [one.name for one in settings_of(settings_class) if one.name not in left_out]
        assert list(SCHEMA["$defs"][name]["properties"]) == stated
    required = {one.name for one in settings_of(TrainingSettings) if one.required}
    left_out = set(settings_schema.CLASSES["training"][1])
    assert set(SCHEMA["$defs"]["complete_training"]["required"]) == required - left_out
    assert set(PAPER["training"]) == set(SCHEMA["$defs"]["training"]["properties"])


def test_lists_that_schema_and_code_both_state_agree():
    assert [name for name in ARM["model"]["enum"] if name != NNUNET] == [*MODELS, None]
    assert NNUNET in ARM["model"]["enum"]
    assert set(ARM["network"]["properties"]) == set().union(*NETWORK_PARTS.values())
    assert set(NETWORK_PARTS) <= set(MODELS)
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    kinds = re.findall(r'items_matching\("(\w+)"\)', rules)
    assert set(ITEM["kind"]["enum"]) == set(kinds)
    scoring = PROTOCOL["scoring"]["properties"]
    assert set(scoring["undefined"]["enum"]) == set(get_args(UndefinedPolicy))
    assert set(scoring["published_as"]["properties"]) == set(ITEM["columns"]["items"]["enum"])


def test_keys_of_patches_that_all_loaders_share_are_those_of_each_loader():
    shared = PROTOCOL["patches"]["properties"]
    loaders = DATASET["loader"]["enum"]
    assert {*loaders, "side_px", "on_bad_sample"} == set(shared)
    for loader in loaders:
        settings_class, _ = settings_schema.CLASSES[f"patches_{loader}"]
        stated = {one.name: one for one in settings_of(settings_class)}
        assert stated["side_px"].allows(shared["side_px"]["minimum"])
        assert list(stated["on_bad_sample"].choices) == shared["on_bad_sample"]["enum"]
        for key in ("side_px", "on_bad_sample"):
            assert stated[key].sentence == shared[key]["description"]
        for key in ("limit", "published_split", "released_ids_sha256"):
            assert key not in stated or stated[key].sentence == DATASET[key]["description"]


@pytest.mark.parametrize("gate", [-0.1, 0, 0.8, 1, 1.1])
def test_the_gate_of_an_arm_has_the_limits_of_the_gate_of_segment(gate):
    in_schema = Draft202012Validator(ARM["gate"]).is_valid(gate)
    try:
        SegmentSettings(gate=gate, consistent=True, window_hu=(0, 1), threads=1)
    except DataError:
        assert not in_schema
    else:
        assert in_schema


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"gate": "0.5"}, r"gate: needs a number from 0 to 1, not '0\.5'"),
        ({"window_hu": (0, 1, 2)}, r"window: needs two finite numbers, .* not \(0, 1, 2\)"),
        ({"window_hu": (1,)}, "window: needs two finite numbers"),
        ({"window_hu": (-math.inf, 240)}, "window: needs two finite numbers"),
        ({"window_hu": (240, -160)}, "the lower first"),
        ({"window_hu": [1, [2]]}, "window: needs two finite numbers"),
        ({"window_hu": "ab"}, "window: needs two finite numbers"),
        ({"threads": 0}, "threads: needs a whole number from 1 to 4096, not 0"),
        ({"threads": 10**9}, "threads: needs a whole number from 1 to 4096, not 1000000000"),
        ({"threads": 1.5}, "threads: needs a whole number"),
        ({"first_slice": 1.0}, r"first slice: needs a whole number from 0 to 1, not 1\.0"),
        ({"first_slice": True}, "first slice: needs a whole number from 0 to 1, not True"),
        ({"gate": True}, "gate: needs a number from 0 to 1, not True"),
        ({"consistent": "no"}, "consistent: needs True or False, not 'no'"),
        ({"volume": None}, "volume: needs True or False, not None"),
        ({"units": ["px"]}, r"units: needs px or mm, not \['px'\]"),
        ({"columns": None}, "columns: needs a mapping, {} for no own names, not None"),
        ({"columns": ["image"]}, "columns: needs a mapping"),
        ({"columns": {"image": 5}}, "columns: image needs the table's own name, a text, not 5"),
        ({"columns": {"spacingx": "id"}}, "columns: 'spacingx' is none of image, .* spacing_x"),
        ({"columns": {"image": ""}}, "columns: image needs the table's own name, a text, not ''"),
    ],
)
def test_settings_of_segment_that_cannot_be(given, says):
    with pytest.raises(DataError, match=says):
        SegmentSettings(**given)


@pytest.mark.parametrize("window", [[-160, 240], (-160, 240), np.array([-160.0, 240.0])])
def test_settings_of_segment_are_the_same_in_every_type_of_number(window):
    """Results that are finished are kept by the settings' `repr`."""
    of_numpy = SegmentSettings(
        gate=np.float64(0.8),
        consistent=np.True_,
        window_hu=window,
        units=np.str_("mm"),
        first_slice=np.int64(1),
        threads=np.int32(3),
    )
    plain = SegmentSettings(
        gate=0.8, consistent=True, window_hu=(-160.0, 240.0), units="mm", first_slice=1, threads=3
    )
    assert repr(of_numpy) == repr(plain)
    assert of_numpy == plain


def test_the_paper_and_every_study_keep_the_schema():
    validator = Draft202012Validator(SCHEMA)
    for path in [None, *(ROOT / "workflow/studies").glob("*.yaml")]:
        study = {} if path is None else read_yaml(path)
        assert [error.message for error in validator.iter_errors(merge(PAPER, study))] == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"training": {"epochs": 0}}, ["training", "epochs"]),
        ({"training": {"epohcs": 1}}, ["training"]),
        ({"crf": {"iterations": 0}}, ["crf", "iterations"]),
        ({"recovery": {"mark_noise": 0}}, ["recovery", "mark_noise"]),
        (
            {"protocols": {"stated": {"patches": {"lits": {"margin_px": -1}}}}},
            ["protocols", "stated", "patches", "lits", "margin_px"],
        ),
        (
            {"arms": {"a1": {"training": {"prompt": {"margin": 0.5}}}}},
            ["arms", "a1", "training", "prompt"],
        ),
    ],
)
def test_the_schema_names_the_key_that_breaks_a_limit(change, place):
    errors = list(Draft202012Validator(SCHEMA).iter_errors(merge(PAPER, change)))
    assert [list(error.absolute_path) for error in errors] == [place]

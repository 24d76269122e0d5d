"""What a mistake in the configuration is answered with: one line, with the cure."""

import pytest
from conftest import ROOT

from weaklesion.errors import DataError
from weaklesion.study.protocols import merge
from weaklesion.study.schema import check_keys, check_schema
from weaklesion.support.yaml_files import read_yaml

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def check(change):
    config = read_yaml(ROOT / "config.yaml")
    check_schema(merge(config, change), SCHEMA)


def test_the_paper_and_every_study_pass():
    check({})
    for path in sorted((ROOT / "workflow/studies").glob("*.yaml")):
        check(read_yaml(path))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sed": [1]}, "config: sed: there is no such key. Did you mean seeds?"),
        (
            {"select": {"item": []}},
            "config: select.item: there is no such key. Did you mean items?",
        ),
        (
            {"arms": {"a1": {"lr": 1}}},
            "config: arms.a1.lr: there is no such key. Known keys: base, ",
        ),
        (
            {"training": {"optimizer": "adamm"}},
            "config: training.optimizer is 'adamm', which is none of adam, adamw, sgd. Did you mean"
            " adam?",
        ),
        (
            {"training": {"epochs": 0}},
            "config: training.epochs: 0 is less than the minimum of 1. ",
        ),
        (
            {"seeds": ["3"]},
            "config: seeds.0: '3' is not of type 'integer'. YAML took it for a text: write 3.",
        ),
        (
            {"training": {"learning_rate": "1e-5"}},
            "config: training.learning_rate: '1e-5' is not of type 'number'. YAML took it for a"
            " text: write 1.0e-05.",
        ),
        (
            {"seeds": [4294967296]},
            "config: seeds.0: 4294967296 is greater than the maximum of 4294967295.",
        ),
        (
            {"protocols": {"corrected": {"folds": 1000000}}},
            "config: protocols.corrected.folds: 1000000 is greater than the maximum of 1000. Number"
            " of folds",
        ),
        (
            {"protocols": {"corrected": {"clusters": {"seed": 4294967296}}}},
            "config: protocols.corrected.clusters.seed: 4294967296 is greater than the maximum of",
        ),
        (
            {"protocols": {"corrected": {"patches": {"lits": {"window_hu": [240, -160]}}}}},
            "config: protocols.corrected.patches.lits.window_hu: [240, -160] needs the lower number"
            " first. Hounsfield units",
        ),
        (
            {"protocols": {"released": {"supervision": {"refined": {"around": [2, 2.0]}}}}},
            "config: protocols.released.supervision.refined.around: [2, 2.0] needs the lower number"
            " first.",
        ),
        (
            {
                "datasets": {
                    "lits": {
                        "phantom": {"num_volumes": 4, "num_slices": 4, "side_px": 64, "seed": 0}
                    }
                }
            },
            "config: datasets.lits: has manifest and phantom, which do not go together. Keep one of"
            " them; where config.yaml sets the other, use another name.",
        ),
        (
            {"select": {"items": []}},
            "config: select.items: [] should be non-empty.",
        ),
        (
            {"select": {"datasets": ["my data"]}},
            "config: select.datasets.0: 'my data' does not match '^[A-Za-z0-9][A-Za-z0-9_.+-]*$'. A"
            " name of letters, digits, _, ., + and -, of which",
        ),
        (
            {"study": 2024},
            "config: study: 2024 is not of type 'string'. YAML took it for a number, a date, or"
            " true or false: put it in quotes.",
        ),
        (
            {"arms": {False: {"base": "a1"}}},
            "config: arms: False is not of type 'string'. YAML took it for",
        ),
        (
            {"arms": {"a1": None}},
            "config: arms.a1: None is not of type 'object'. A key with nothing below it is null:"
            " remove the key, or write {}.",
        ),
        (
            {"experiments": {"table1": {"columns": ["Dice", "Dice"]}}},
            "config: experiments.table1.columns: ['Dice', 'Dice'] has non-unique elements.",
        ),
        (
            {"protocols": {"corrected": {"supervision": {"prior_weights": [5, 5]}}}},
            "config: protocols.corrected.supervision.prior_weights: [5, 5] has non-unique",
        ),
        ({"select": {"items": 3}}, "config: select.items: 3 is not of type "),
        ({"seeds": [1.0]}, "config: seeds.0: 1.0 is not of type 'integer'."),
        (
            {"protocols": {"x": {"base": "corrected", "folds": 3.0}}},
            "config: protocols.x.folds: 3.0 is",
        ),
        (
            {"training": {"learning_rate": float("inf")}},
            "config: training.learning_rate: inf is not of type 'number'.",
        ),
        (
            {"protocols": {"demo.v2": {"base": "corrected"}}},
            "config: protocols: 'demo.v2' does not match '^[A-Za-z0-9][A-Za-z0-9_+-]*$'. A name of"
            " letters, digits, _, + and -.",
        ),
        (
            {"attribution": {"between": ["released"]}},
            "config: attribution.between: ['released'] is",
        ),
        (
            {"experiments": {"mine": {"kind": "scores"}}},
            "config: experiments.mine: lacks title. Add it.",
        ),
        (
            {"experiments": {"mine": {"kind": "policies", "title": "t", "datasets": ["ham10k"]}}},
            "config: experiments.mine: lacks arms, protocols, baseline. Add it.",
        ),
        (
            {"datasets": {"ham10k": {"reference": "denes"}}},
            "config: datasets.ham10k.reference is 'denes', which is none of dense, grabcut. Did you"
            " mean dense?",
        ),
    ],
)
def test_a_mistake_takes_one_line_that_names_key_cause_and_cure(change, line):
    with pytest.raises(DataError) as error:
        check(change)
    first, *lines = str(error.value).splitlines()
    assert first == "the configuration cannot be used:"
    assert any(found.startswith(line) for found in lines), lines
    assert all(len(found) < 700 for found in lines)


@pytest.mark.parametrize("value", [[], ["my data"], ["a", "a"]])
def test_a_list_is_not_told_to_be_null(value):
    with pytest.raises(DataError) as error:
        check({"select": {"items": value}})
    assert "null" not in str(error.value).replace("null is everything", "")


@pytest.mark.parametrize("value", [None, [], "t"])
def test_an_item_that_is_no_mapping_is_one_mistake(value):
    with pytest.raises(DataError) as error:
        check({"experiments": {"table1": value}})
    _, *lines = str(error.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"config: experiments.table1: {value!r} is not of type 'object'.")


def test_several_mistakes_are_all_named():
    with pytest.raises(DataError) as error:
        check({"sed": [1], "training": {"epochs": 0}})
    assert len(str(error.value).splitlines()) == 3


def test_many_mistakes_are_counted():
    with pytest.raises(DataError, match="and 5 more mistakes"):
        check({f"key{number}": 1 for number in range(15)})


def test_a_key_that_a_study_gives_twice_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("seeds: [1]\nselect: {items: [a], items: [b]}\n")
    with pytest.raises(DataError, match="line 2 gives items again, after line 2"):
        check_keys([path])
    path.write_text("a: {x: 1}\nb: {x: 2}\n")
    check_keys([path])

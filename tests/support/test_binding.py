from dataclasses import dataclass
from pathlib import Path

import pytest

from weaklesion.support.binding import bind, bindable_names


@dataclass(frozen=True)
class Settings:
    px: int
    init: str = "rect"


@dataclass(frozen=True)
class Files:
    images_npy: str | Path
    weights_pth: str | Path | None = None


def stage(*, files: Files, settings: Settings, seed: int, gate: float | None = None, workers=1):
    return files, settings, seed, gate, workers


def test_arguments_are_taken_by_name_and_converted_as_the_parameters_say():
    named = {
        "images_npy": "a.npy",
        "weights_pth": [],
        "settings": {"px": 3},
        "seed": "7",
        "k": "20",
    }
    bound = bind(stage, named | {"gate": 0.5})
    assert bound == {
        "files": Files("a.npy", None),
        "settings": Settings(3),
        "seed": 7,
        "gate": 0.5,
    }


def test_an_empty_input_is_none_only_where_none_is_allowed():
    def takes(
        folders: list[str], table_csv: str | None, crf: Settings | None, row: dict | None
    ): ...

    named = {"folders": [], "table_csv": [], "crf": None, "row": {}}
    assert bind(takes, named) == {"folders": [], "table_csv": None, "crf": None, "row": None}
    assert bind(takes, named | {"crf": {"px": 1}, "table_csv": "t"})["crf"] == Settings(1)


def test_mappings_in_a_mapping_become_dataclasses_too():
    @dataclass(frozen=True)
    class Whole:
        part: Settings | None
        other: Settings | None = None

    def takes(whole: Whole): ...

    bound = bind(takes, {"whole": {"part": {"px": 1}, "other": None}})
    assert bound == {"whole": Whole(Settings(1))}
    with pytest.raises(TypeError, match="edge"):
        bind(takes, {"whole": {"part": {"px": 1, "edge": 2}}})


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("images_npy", "Files: the rule names no images_npy"),
        ("settings", "Settings: the rule names no px"),
        ("seed", "stage: the rule names no seed"),
    ],
)
def test_a_parameter_without_a_value(missing, message):
    named = {"images_npy": "a.npy", "settings": {"px": 3}, "seed": 1}
    del named[missing]
    with pytest.raises(TypeError, match=message):
        bind(stage, named)


def test_a_setting_that_does_not_exist():
    with pytest.raises(TypeError, match="edge"):
        bind(stage, {"images_npy": "a", "settings": {"px": 3, "edge": 1}, "seed": 1})


def test_names_that_can_be_bound():
    names = {"files", "images_npy", "weights_pth", "settings", "px", "init", "seed", "gate"}
    assert bindable_names(stage) == names | {"workers"}

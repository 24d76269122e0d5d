"""Right inputs of every kind are answered as before, and a small mistake of a reader is noticed."""

import importlib

import pytest
import right_inputs
import yaml
from right_inputs import GOLDEN, KINDS, OF_EACH, answers, golden

pytestmark = pytest.mark.workflow


def test_200_right_inputs_are_answered_as_before():
    """After a change of an answer that is meant, `python tests/right_inputs.py` writes the file."""
    kept = golden()
    assert len(kept) == len(KINDS) * OF_EACH == 200
    assert GOLDEN.stat().st_size < 20_000
    found = answers()
    assert {name: found[name] for name in kept if found[name] != kept[name]} == {}


def after(changed):
    """A function whose answer is changed."""
    return lambda function: lambda *given, **named: changed(function(*given, **named))


MUTATIONS = {
    ("marks.images", "_read_levels"): (
        "lossless",
        after(lambda found: (found[0][..., ::-1], found[1])),
    ),
    ("marks.images", "to_grey"): ("lossy_or_deep", after(lambda levels: levels + 1)),
    ("marks.images", "spacing_of"): ("volume", after(lambda sizes: sizes and sizes[::-1])),
    ("marks.images", "slice_index"): ("volume", lambda index: lambda shape, _: index(shape, 0)),
    ("marks.table", "number_in"): ("marks", after(round)),
    ("data.archives", "_chosen"): ("archive", after(lambda entries: entries[:1])),
    ("data.manifest", "_absolute"): ("manifest", lambda _: lambda url, folder: url),
    ("data.loaders.deeplesion_table", "parse_recist"): ("lesions", after(lambda ends: ends + 1)),
    ("study.overrides", "_CoreLoader"): ("override", lambda _: yaml.SafeLoader),
}


@pytest.mark.parametrize("place", MUTATIONS, ids=" ".join)
def test_a_small_mistake_changes_an_answer(place, monkeypatch):
    module, name = place
    kind, mistaken = MUTATIONS[place]
    module = importlib.import_module(f"weaklesion.{module}")
    monkeypatch.setattr(module, name, mistaken(getattr(module, name)))
    found, kept = answers([getattr(right_inputs, kind)]), golden()
    assert len(found) == OF_EACH
    assert any(kept[name] != digest for name, digest in found.items())

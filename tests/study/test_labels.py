from typing import get_args, get_type_hints

from weaklesion.study.labels import ENCODERS, arm_labels, dataset_labels
from weaklesion.study.settings import TrainingSettings


def test_a_dataset_like_another_takes_its_label_and_its_own_label_wins():
    config = {
        "datasets": {
            "ham10k": {"label": "HAM10000"},
            "small": {"like": "ham10k"},
            "phantom": {"like": "ham10k", "phantom": {}},
            "named": {"like": "ham10k", "label": "Ours"},
            "own": {"phantom": {}},
        }
    }
    assert dataset_labels(config) == {
        "ham10k": "HAM10000",
        "small": "HAM10000",
        "phantom": "HAM10000 phantom",
        "named": "Ours",
        "own": "own phantom",
    }


def test_an_arm_without_a_label_keeps_its_name():
    config = {"arms": {"a1": {"label": "A1"}, "a1_long": {"base": "a1"}}}
    assert arm_labels(config) == {"a1": "A1", "a1_long": "a1_long"}


def test_every_encoder_has_a_name_for_readers():
    (encoders, *_) = get_type_hints(TrainingSettings, include_extras=True)["encoder"].__args__
    assert set(get_args(encoders)) == set(ENCODERS)

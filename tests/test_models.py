import pytest
import torch
import yaml

from weaklesion.errors import DataError
from weaklesion.models import build_model, num_parameters


def published_counts(root):
    text = (root / "workflow/resources/published_numbers.yaml").read_text()
    return yaml.safe_load(text)["section_7_6_parameter_counts"]


def test_a1_has_the_published_number_of_parameters(root):
    assert num_parameters(build_model("a1")) == published_counts(root)["A1"] == 45_669_713


@pytest.mark.parametrize(
    ("dataset", "k", "count"),
    [("HAM10K", 45, 45_761_918), ("LiTS", 40, 45_751_673), ("NIH_DeepLesion", 190, 46_059_023)],
)
def test_a1l_has_the_published_number_of_parameters(root, dataset, k, count):
    model = build_model("a1l", num_classes=k)
    assert num_parameters(model) == published_counts(root)["A1_L"][dataset] == count


def test_outputs():
    batch = torch.rand(2, 3, 32, 48)
    assert build_model("a1", encoder="resnet18").eval()(batch).shape == (2, 1, 32, 48)
    logits, classes = build_model("a1l", num_classes=7, encoder="resnet18").eval()(batch)
    assert logits.shape == (2, 1, 32, 48)
    assert classes.shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("a2", None, "name"),
        ("a1", 3, "num_classes"),
        ("a1l", None, "num_classes"),
        ("a1l", 0, "at least 1"),
    ],
)
def test_what_cannot_be_built(name, classes, message):
    with pytest.raises(ValueError, match=message):
        build_model(name, num_classes=classes, encoder="resnet18")


def test_weights_of_torchvision_are_loaded_into_the_encoder(tmp_path):
    from torchvision.models import resnet18

    source = resnet18(weights=None)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    model = build_model("a1", encoder="resnet18", weights=tmp_path / "resnet18.pth")
    loaded = dict(model.encoder.named_parameters())
    for name, tensor in source.named_parameters():
        if not name.startswith("fc."):
            assert torch.equal(loaded[name], tensor)


def test_foreign_and_broken_weights_are_refused(tmp_path):
    from torchvision.models import resnet34

    torch.save(resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    (tmp_path / "broken.pth").write_bytes(b"<html>")
    for name in ("resnet34.pth", "broken.pth"):
        with pytest.raises(DataError, match=rf"{name}: not the weights"):
            build_model("a1", encoder="resnet18", weights=tmp_path / name)

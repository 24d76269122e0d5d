"""The networks of Agarwal et al. and of CMU-Net: shapes, strides, sizes, partners."""

import pytest
import torch
from conftest import num_parameters_of
from torch import nn

from weaklesion.models import build_model
from weaklesion.networks import attention, cmunet, dilated

RESNET101 = 42_500_160  # without its classifier, as section 7.6 of Chu et al. has it
SE = 2 * 2048 * 128 + 128 + 2048
ASPP = (
    2048 * 256 + 512 + 3 * (9 * 2048 * 256 + 512) + 2048 * 256 + 512 + 5 * 256 * 256 + 512
)  # torchvision's, each convolution with batch normalisation
PLACES_ASPP = ASPP + 256 + 1
D1 = 9 * (2048 * 256 + 256 * 128 + 128 * 64) + 2 * (256 + 128 + 64) + 64 + 1
D2 = 3_169_296 + 257  # as in Chu et al.'s A1
DANET = 2 * (9 * 2048 * 512 + 2 * 512) + 2 * (512 * 64 + 64) + 512 * 512 + 512 + 2
VARIANTS = {
    "se, mean, d1": ({"channels": "se", "places": "mean"}, SE + D1),
    "se, mean, d2": ({"channels": "se", "places": "mean", "decoder": "d2"}, SE + D2),
    "eca, mean, d2": ({"channels": "eca", "places": "mean", "decoder": "d2"}, 7 + D2),
    "se, aspp, d2": (
        {"channels": "se", "places": "aspp", "decoder": "d2"},
        SE + PLACES_ASPP + D2,
    ),
    "eca, aspp, d2": (
        {"channels": "eca", "places": "aspp", "decoder": "d2"},
        7 + PLACES_ASPP + D2,
    ),
    "danet, d1": ({"danet": True}, DANET + D1 - 9 * (2048 - 512) * 256),
}


def shaken(network):
    """The network with every parameter moved, as training would: DANet's weights start at 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network.eval()


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 64, 96, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("multi_grid", [False, True])
def test_number_of_parameters(name, multi_grid):
    options, beside_the_encoder = VARIANTS[name]
    counted = num_parameters_of("drn_coseg", options=options | {"multi_grid": multi_grid})
    assert counted == RESNET101 + beside_the_encoder


def test_number_of_parameters_of_the_others():
    head = 9 * 2048 * 512 + 2 * 512 + 512 + 1
    assert num_parameters_of("drn_fcn32") == RESNET101 + head
    plain, multi = num_parameters_of("cmu_unet"), num_parameters_of("cmu_net", num_classes=2)
    assert multi - plain == 256 * 2 + 2


@pytest.mark.parametrize("multi_grid", [False, True])
@pytest.mark.workflow
def test_the_last_two_stages_are_dilated_at_an_output_stride_of_8(multi_grid):
    encoder = dilated.dilated_encoder("resnet101", multi_grid=multi_grid)
    with torch.no_grad():
        features = encoder(torch.zeros(1, 3, 128, 128))
    assert [tuple(one.shape[1:]) for one in features[2:]] == [
        (256, 32, 32),
        (512, 16, 16),
        (1024, 16, 16),
        (2048, 16, 16),
    ]
    assert {block.conv2.dilation[0] for block in encoder.layer3} == {2}
    found = [block.conv2.dilation[0] for block in encoder.layer4]
    assert found == ([2, 4, 8] if multi_grid else [4, 4, 4])
    assert [block.conv2.padding[0] for block in encoder.layer4] == found


@pytest.mark.parametrize("options", [given for given, _ in VARIANTS.values()], ids=list(VARIANTS))
@pytest.mark.workflow
def test_another_partner_changes_every_variant(options, pair):
    image, partner, other = pair
    network = shaken(build_model("drn_coseg", encoder="resnet18", options=options))
    with torch.no_grad():
        first, back = network(image, partner)
        again, _ = network(image, partner)
        changed, _ = network(image, other)
        _, swapped = network(partner, image)
    assert first.shape == back.shape == (2, 1, 64, 96)
    assert torch.equal(first, again)
    assert (first - changed).abs().max() > 1e-4
    torch.testing.assert_close(first, swapped, atol=1e-4, rtol=1e-4)  # two branches, one network


def test_danet_starts_from_the_plain_features(pair):
    network = build_model("drn_coseg", encoder="resnet18", options={"danet": True}).eval()
    with torch.no_grad():
        assert torch.equal(network(pair[0], pair[1])[0], network(pair[0], pair[2])[0])


def test_channel_weights_come_from_the_partner_and_places_from_the_image():
    gate = attention.ChannelSpatialAttention(32, "se", "mean")
    features = torch.rand(2, 32, 4, 4)
    weights = gate.channels(features)
    expected = features[:1] * weights[1].view(1, 32, 1, 1)
    expected = expected * features[:1].mean(dim=1, keepdim=True).sigmoid()
    torch.testing.assert_close(gate(features)[:1], expected)


def test_kernel_of_efficient_channels_is_the_next_odd_number():
    sizes = {width: attention.EfficientChannels(width).convolution.kernel_size[0]
             for width in (64, 256, 512, 2048)}  # fmt: skip
    assert sizes == {64: 3, 256: 5, 512: 5, 2048: 7}


def test_position_attention_by_hand():
    module = attention.DualAttention(256)
    module.position_gamma.data.fill_(2.0)
    for convolution in (module.query, module.key):
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # all places are alike
    features = torch.rand(2, 64, 3, 3)
    mean = module.value(features).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(
        module.by_position(features), features + 2 * mean.expand(2, 64, 3, 3)
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": "se"},
        {"places": "mean"},
        {"danet": True, "channels": "se", "places": "mean"},
        {"channels": "none", "places": "mean"},
    ],
)
def test_parts_that_make_no_network(options):
    with pytest.raises(ValueError, match="network: "):
        build_model("drn_coseg", encoder="resnet18", options=options)


def test_cmu_net_has_five_blocks_of_the_stated_widths():
    network = cmunet.build("cmu_net", "", {"classes": 2, "dropout": 0.2})
    seen = []
    for block in network.encoder:
        block.register_forward_hook(lambda module, given, output: seen.append(output.shape[1:]))
    logits, classes = network(torch.rand(3, 3, 64, 64))
    assert [tuple(shape) for shape in seen] == [
        (16, 64, 64), (32, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)
    ]  # fmt: skip
    assert logits.shape == (3, 1, 64, 64)
    assert classes.shape == (3, 2)
    slopes = {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}
    assert any(isinstance(module, nn.InstanceNorm2d) for module in network.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())

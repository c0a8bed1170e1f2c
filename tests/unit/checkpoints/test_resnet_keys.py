"""Residual networks under torchvision's names: every published depth and any size, and what is refused by name."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from optophone.checkpoints.resnet import load_resnet, resnet_state_dict
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.encoders.resnet import ResNet, ResNetConfig

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def batch_norm(name: str, n: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (n,)
    yield f"{name}.num_batches_tracked", ()


def published_shapes(
    blocks: tuple[int, ...], bottleneck: bool, width: int = 64, inner: int = 64, groups: int = 1, n_classes: int = 1000
) -> dict[str, tuple[int, ...]]:
    """Names and shapes as torchvision has them, written down from its layout and not from our model."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (width, 3, 7, 7), **dict(batch_norm("bn1", width))}
    n_in = width
    for i, n_blocks in enumerate(blocks):
        middle, n_out = inner * 2**i, width * 2**i * (4 if bottleneck else 1)
        for j in range(n_blocks):
            name = f"layer{i + 1}.{j}"
            kernels = [(middle, n_in, 1), (middle, middle // groups, 3), (n_out, middle, 1)]
            if not bottleneck:
                kernels = [(n_out, n_in, 3), (n_out, n_out, 3)]
            for k, (rows, columns, side) in enumerate(kernels, start=1):
                shapes[f"{name}.conv{k}.weight"] = (rows, columns, side, side)
                shapes |= batch_norm(f"{name}.bn{k}", rows)
            if j == 0 and (i > 0 or n_in != n_out):
                shapes[f"{name}.downsample.0.weight"] = (n_out, n_in, 1, 1)
                shapes |= batch_norm(f"{name}.downsample.1", n_out)
            n_in = n_out
    return {**shapes, "fc.weight": (n_classes, n_in), "fc.bias": (n_classes,)}


def weights_of(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        name: torch.tensor(7) if name.endswith("tracked") else torch.rand(shape) + 0.5 for name, shape in shapes.items()
    }


@pytest.fixture
def original() -> dict[str, Tensor]:
    """A ResNet-50 with an eighth of the channels and ten classes."""
    return weights_of(published_shapes(BLOCKS[50], True, 8, 8, n_classes=10))


@pytest.mark.parametrize(("depth", "n_parameters"), [(18, 11_176_512), (50, 23_508_032)])
def test_public_sizes(depth: int, n_parameters: int) -> None:
    """With the published number of parameters, less the classifier of 1,000 classes."""
    shapes = published_shapes(BLOCKS[depth], depth >= 50)
    weights = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    weights["layer4.1.conv2.weight"] = torch.rand(shapes["layer4.1.conv2.weight"])
    model = load_resnet(weights)
    assert model.config == ResNetConfig(depth)
    assert not model.training
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == n_parameters
    assert torch.equal(model.state_dict()["layer4.1.conv2.weight"], weights["layer4.1.conv2.weight"])


@pytest.mark.parametrize("depth", BLOCKS)
def test_reduced_sizes_there_and_back(depth: int) -> None:
    weights = weights_of(published_shapes(BLOCKS[depth], depth >= 50, 4, 4))
    model = load_resnet(weights)
    assert model.config.depth == depth
    assert model(torch.randn(1, 3, 64, 32)).shape == (1, 2, 32 * (4 if depth >= 50 else 1))
    again = resnet_state_dict(model)
    assert again.keys() == weights.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, weights[name]) for name, tensor in again.items())


@pytest.mark.parametrize(("inner", "groups"), [(16, 1), (16, 4), (2, 1)])
def test_wide_and_grouped_networks(inner: int, groups: int) -> None:
    model = load_resnet(weights_of(published_shapes((1, 2), True, 8, inner, groups)))
    assert (model.config.widths, model.config.groups) == ((inner, 2 * inner), groups)
    assert model(torch.randn(1, 3, 16, 16)).shape == (1, 4, 64)


def test_what_may_be_there_or_not(original: dict[str, Tensor]) -> None:
    bare = {name: x for name, x in original.items() if not name.startswith("fc.") and not name.endswith("tracked")}
    wrapped = {f"module.{name}": x.double() for name, x in original.items()}
    picture = torch.randn(1, 3, 40, 40)
    first, second = load_resnet(bare)(picture), load_resnet(wrapped)(picture)
    assert torch.equal(first, second)
    assert load_resnet(wrapped).bn1.num_batches_tracked.dtype == torch.int64


def test_loaded_weights_are_our_own(original: dict[str, Tensor]) -> None:
    model = load_resnet(original)
    original["conv1.weight"].zero_()
    assert model.conv1.weight.abs().min() > 0


def test_a_bare_network_has_no_projection_to_load() -> None:
    """Where the stem is as wide as the first stage, its first block keeps its size."""
    model = ResNet(ResNetConfig(blocks=(1, 1), bottleneck=True, stem_width=8, widths=(4, 4), expansion=2))
    assert "layer1.0.downsample.0.weight" not in model.state_dict()
    assert load_resnet(resnet_state_dict(model)).config == model.config


def test_options(original: dict[str, Tensor]) -> None:
    model = load_resnet(original, {"encoded_image_size": 14, "layers": [3, 4, 6, 3]})
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 14 * 14, 256)
    with pytest.raises(ConfigurationError, match=r"layers is \[2, 2\], .* \[3, 4, 6, 3\]"):
        load_resnet(original, {"layers": [2, 2]})
    with pytest.raises(ConfigurationError, match="'dept'"):
        load_resnet(original, {"dept": 50})


def test_missing_and_unexpected_keys_are_named(original: dict[str, Tensor]) -> None:
    original["layer2.1.conv4.weight"] = original.pop("layer2.1.bn3.bias")
    with pytest.raises(BundleError, match=r"missing layer2\.1\.bn3\.bias; unexpected layer2\.1\.conv4\.weight"):
        load_resnet(original)


def test_of_many_keys_the_first_are_named(original: dict[str, Tensor]) -> None:
    gone = {name: x for name, x in original.items() if not name.startswith(("layer2.1.", "layer3.1."))}
    with pytest.raises(BundleError, match=r"missing layer2\.1\.bn1\.bias, .* and \d+ more\.$"):
        load_resnet(gone)


@pytest.mark.parametrize("name", ["conv1.weight", "layer1.0.conv2.weight", "layer3.0.conv2.weight"])
def test_what_sizes_are_read_from_must_be_there(original: dict[str, Tensor], name: str) -> None:
    del original[name]
    with pytest.raises(BundleError, match=f"missing {name}"):
        load_resnet(original)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv1.weight", (8, 3, 3, 3)),
        ("conv1.weight", (8,)),
        ("bn1.bias", (9,)),
        ("layer1.0.conv3.weight", (33, 8, 1, 1)),
        ("layer2.0.downsample.0.weight", (64, 32, 3, 3)),
        ("layer4.2.bn3.running_var", (255,)),
    ],
)
def test_wrong_shapes_are_named(original: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> None:
    original[name] = torch.zeros(shape)
    with pytest.raises(BundleError, match=name):
        load_resnet(original)


@pytest.mark.parametrize("weights", [{}, {"features.0.weight": torch.zeros(3)}])
def test_other_networks_are_refused(weights: dict[str, Tensor]) -> None:
    with pytest.raises(BundleError, match="no weights of a residual net"):
        load_resnet(weights)

"""The residual network of the public weights: its grid, its names, and its numbers beside another reading of it."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.encoders.resnet import DEPTHS, ResNet, ResNetConfig, average_to

TINY = ResNetConfig(blocks=(1, 2), bottleneck=True, stem_width=4, widths=(3, 5), expansion=2)
TINY_BASIC = ResNetConfig(blocks=(2, 1, 1), bottleneck=False, stem_width=4, widths=(4, 6, 8))


def build(config: ResNetConfig = TINY) -> ResNet:
    """New weights, with statistics and residual branches that matter."""
    torch.manual_seed(0)
    model = ResNet(config)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.uniform_(-0.5, 0.5)
    return model.eval()


@pytest.mark.parametrize(
    ("config", "stride", "n_features"),
    [(ResNetConfig(18), 32, 512), (ResNetConfig(101), 32, 2048), (TINY, 8, 10), (TINY_BASIC, 16, 8)],
)
def test_stride_and_features_are_what_comes_out(config: ResNetConfig, stride: int, n_features: int) -> None:
    assert (config.stride, config.n_features) == (stride, n_features)
    small = replace(config, stem_width=2, widths=(2,) * len(config.widths))
    assert build(small).grid(torch.zeros(1, 3, 2 * stride, 3 * stride)).shape == (1, small.n_features, 2, 3)


@pytest.mark.parametrize("config", [TINY, TINY_BASIC])
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_regions_are_the_grid_row_by_row(config: ResNetConfig, size: tuple[int, int]) -> None:
    model, pictures = build(config), torch.randn(2, 3, *size)
    grid, regions = model.grid(pictures), model(pictures)
    rows, columns = config.grid_for(*size)
    assert grid.shape == (2, config.n_features, rows, columns)
    for row in range(rows):
        for column in range(columns):
            torch.testing.assert_close(regions[:, row * columns + column], grid[:, :, row, column])


@pytest.mark.parametrize("size", [(14, 14), (2, 3), (5, 1)])
def test_an_enforced_grid_is_the_adaptive_average(size: tuple[int, int]) -> None:
    grid = torch.randn(2, 4, 8, 7)
    torch.testing.assert_close(average_to(grid, size), torch.nn.functional.adaptive_avg_pool2d(grid, size))
    config = ResNetConfig(blocks=(1,), bottleneck=False, stem_width=4, widths=(4,), grid=size)
    assert config.grid_for(64, 64) == size
    assert build(config)(torch.randn(1, 3, 20, 30)).shape == (1, size[0] * size[1], 4)


def test_an_enforced_grid_goes_through_onnx(tmp_path) -> None:
    import onnxruntime

    from optophone.export.onnx_graph import export_graph

    config = ResNetConfig(blocks=(1, 1), bottleneck=True, stem_width=4, widths=(3, 5), expansion=2, grid=(3, 5))
    model, picture = build(config), torch.randn(2, 3, 32, 32)
    export_graph(model, tmp_path / "x.onnx", {"picture": picture}, ["regions"], {"picture": {0: "rows"}})
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    (found,) = session.run(None, {"picture": picture.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), model(picture), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [TINY, TINY_BASIC])
def test_every_parameter_learns(config: ResNetConfig) -> None:
    model = build(config).train()
    (model(torch.randn(4, 3, 64, 64)) ** 2).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either depth"),
        ({"depth": 20}, "depth 20 is not one of 18"),
        ({"depth": 50, "blocks": [1]}, "give either depth"),
        ({"depth": 50, "blocks": [1], "bottleneck": True}, "give either depth"),
        ({"blocks": [1, 1], "bottleneck": True}, "one width per stage"),
        ({"blocks": [0], "bottleneck": True, "widths": [4]}, "at least one block"),
        ({"depth": 18, "grid": [0, 3]}, "0 x 3"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_mapping(ResNetConfig, options)


def test_configuration_survives_json() -> None:
    for config in (TINY, ResNetConfig(50, grid=(14, 14))):
        assert from_mapping(ResNetConfig, to_mapping(config)) == config


# ---------------------------------------------------------------------------------------------------------------------
# The same weights in the reading of `transformers`.


def their_name(name: str) -> str:
    """The name in `transformers` of our parameter or buffer."""
    kind = {"conv": "convolution", "bn": "normalization"}
    stem = re.fullmatch(r"(conv|bn)1\.(.+)", name)
    if stem:
        return f"embedder.embedder.{kind[stem[1]]}.{stem[2]}"
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.(\d))\.(.+)", name)
    assert match, name
    block = f"encoder.stages.{int(match[1]) - 1}.layers.{match[2]}"
    if match[5]:
        return f"{block}.shortcut.{('convolution', 'normalization')[int(match[5])]}.{match[6]}"
    return f"{block}.layer.{int(match[4]) - 1}.{kind[match[3]]}.{match[6]}"


def theirs(config: ResNetConfig, weights: dict[str, Tensor]) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'optophone[adapters]'")
    expansion = config.expansion if config.kind.bottleneck else 1
    model = transformers.ResNetModel(
        transformers.ResNetConfig(
            embedding_size=config.stem_width,
            hidden_sizes=[width * expansion for width in config.widths],
            depths=list(config.kind.blocks),
            layer_type="bottleneck" if config.kind.bottleneck else "basic",
            downsample_in_bottleneck=False,
        )
    )
    model.load_state_dict({their_name(name): tensor for name, tensor in weights.items()}, strict=True)
    return model.eval()


@pytest.mark.parametrize("depth", DEPTHS)
def test_numbers_are_those_of_another_reading(depth: int) -> None:
    """Every published depth at a sixteenth of its width."""
    config = ResNetConfig(depth, stem_width=4, widths=(4, 8, 16, 32))
    model = build(config)
    picture = torch.randn(2, 3, 70, 97)
    with torch.no_grad():
        expected = theirs(config, model.state_dict())(picture).last_hidden_state
        found = model.grid(picture)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=1e-4)

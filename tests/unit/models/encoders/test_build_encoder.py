"""Encoders from their options, and captioners over each of them."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.build import DecoderConfig, build_captioner
from optophone.models.encoders.build import EncoderConfig, build_encoder
from optophone.models.encoders.given_regions import GivenRegions
from optophone.models.encoders.residual_grid import ResidualGrid
from optophone.models.encoders.resnet import ResNet

RESNET = {"blocks": [1, 1], "bottleneck": False, "stem_width": 4, "widths": [4, 6]}
DECODER = DecoderConfig("transformer", {"dim": 8, "n_heads": 2, "n_layers": 1, "feed_forward_dim": 8})


@dataclass(frozen=True)
class Experiment:
    encoder: EncoderConfig


def read(options: dict[str, Any]) -> EncoderConfig:
    return from_mapping(Experiment, {"encoder": options}).encoder


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, ResidualGrid),
        ({"widths": [4, 6], "depths": [1, 1]}, ResidualGrid),
        ({"depth": 18, "stem_width": 2, "widths": [2, 2, 2, 2]}, ResNet),
        ({"name": "resnet", **RESNET}, ResNet),
        ({"n_features": 5}, GivenRegions),
    ],
)
def test_options_say_which_encoder_is_meant(options: dict[str, Any], kind: type) -> None:
    config = read(options)
    encoder = build_encoder(config)
    assert type(encoder) is kind
    assert encoder.config == config
    assert read(to_mapping(config)) == config


@pytest.mark.parametrize("options", [{"depth": 18, "with": 3}, {"depth": 19}, {"name": "vit"}])
def test_mistakes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        read(options)


@pytest.mark.parametrize(
    ("options", "grid"),
    [(RESNET, (4, 4)), ({**RESNET, "grid": [3, 5]}, (3, 5)), ({"widths": [6], "depths": [1]}, (16, 16))],
)
def test_a_captioner_reads_the_grid_of_its_encoder(options: dict[str, Any], grid: tuple[int, int]) -> None:
    model = build_captioner(read(options), DECODER, n_symbols=9, size=32).eval()
    assert model.decoder.config.grid == grid
    output = model(torch.randn(1, 3, 32, 32), torch.ones(1, 2, dtype=torch.long))
    assert output.attention.shape == (1, 2, grid[0] * grid[1])


def test_given_regions_have_no_grid_and_no_weights() -> None:
    model = build_captioner(read({"n_features": 5}), DECODER, n_symbols=9, size=32).eval()
    assert model.decoder.config.grid is None
    assert model(torch.randn(1, 7, 5), torch.ones(1, 2, dtype=torch.long)).attention.shape == (1, 2, 7)
    assert all(name.startswith("decoder.") for name in model.state_dict())

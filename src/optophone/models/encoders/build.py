"""An encoder from its configuration: the one place that knows them all."""

from typing import assert_never

from torch import nn

from optophone.models.encoders.given_regions import GivenRegions, GivenRegionsConfig
from optophone.models.encoders.residual_grid import ResidualGrid, ResidualGridConfig
from optophone.models.encoders.resnet import ResNet, ResNetConfig

# In a YAML file the options tell which one is meant: {widths: …}, {depth: …} or {n_features: …}.
EncoderConfig = ResidualGridConfig | ResNetConfig | GivenRegionsConfig


def build_encoder(config: EncoderConfig) -> nn.Module:
    """The encoder of `config` with new weights: an nn.Module, pictures (B, 3, H, W) → regions (B, R, D)."""
    match config:
        case ResidualGridConfig():
            return ResidualGrid(config)
        case ResNetConfig():
            return ResNet(config)
        case GivenRegionsConfig():
            return GivenRegions(config)
        case _:
            assert_never(config)

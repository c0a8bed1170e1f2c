"""Weight normalisation of a WaveGlow's coupling networks, for training."""

from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrizations, parametrize

from optophone.models.vocoders.coupling_network import CouplingNetwork
from optophone.models.vocoders.waveglow import WaveGlow


def add_weight_norm(model: WaveGlow) -> None:
    """Train magnitude and direction of the convolutions apart, as the original does; computes the same as before.

    Source: Salimans & Kingma 2016, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep
    Neural Networks".
    """
    for convolution in _convolutions(model):
        parametrizations.weight_norm(convolution)


def remove_weight_norm(model: WaveGlow) -> None:
    """Back to plain weights; computes the same as before. Without effect where there are none but plain ones."""
    for convolution in _convolutions(model):
        if parametrize.is_parametrized(convolution, "weight"):
            parametrize.remove_parametrizations(convolution, "weight")


def _convolutions(model: WaveGlow) -> Iterator[nn.Module]:
    """All but the ends, which begin at zero and would have no direction."""
    for network in model.couplings:
        assert isinstance(network, CouplingNetwork)
        yield from (network.start, network.condition, *network.dilated, *network.mix)

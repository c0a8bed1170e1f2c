"""Tiny WaveGlows whose flows do something, for tests."""

import torch

from optophone.models.vocoders.coupling_network import CouplingNetwork
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig

TINY_WAVEGLOW = WaveGlowConfig(
    n_mels=3,
    n_flows=4,
    n_group=8,
    early_every=2,
    early_size=2,
    n_layers=3,
    n_channels=6,
    kernel_size=3,
    hop_length=16,
    upsample_kernel_size=64,
)


def tiny_waveglow(config: WaveGlowConfig = TINY_WAVEGLOW, seed: int = 1) -> WaveGlow:
    """Random weights; the ends, which begin at zero, are random too, and the 1×1 convolutions no rotations."""
    torch.manual_seed(seed)
    model = WaveGlow(config).eval()
    with torch.no_grad():
        for network in model.couplings:
            assert isinstance(network, CouplingNetwork)
            network.end.weight.normal_(std=0.3)
            network.end.bias.normal_(std=0.1)
        for name, parameter in model.named_parameters():
            if name.startswith("mixings"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model

"""Tiny vocoders whose weights do something, for tests."""

from pathlib import Path

import numpy as np
import torch

from optophone.core.bundle import BundleWriter
from optophone.core.mel import MelSpec, analysis_window
from optophone.models.vocoders.coupling_network import CouplingNetwork
from optophone.models.vocoders.vocos import Vocos, VocosConfig
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig
from tiny_bundles import save_graph

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


TINY_VOCOS = VocosConfig(n_mels=3, hop_length=16, n_fft=64, dim=8, hidden_dim=12, n_layers=2, kernel_size=3)


def tiny_vocos(config: VocosConfig = TINY_VOCOS, seed: int = 1) -> Vocos:
    """Random weights, so large that every layer and every frame is heard."""
    torch.manual_seed(seed)
    model = Vocos(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
        model.head.bias[: config.n_fft // 2 + 1] = -1.0
    return model


# Frames → real and imaginary parts, then the inverse transform with its window as a transposed convolution.
_INVERSE_STFT = """
vocoder (float[1,M,T] mel) => (float[1,N] wave) {
  hidden = Conv<kernel_shape=[5], pads=[2,2]>(mel, w_first)
  bent = Tanh(hidden)
  spectrum = Conv<kernel_shape=[3], pads=[1,1]>(bent, w_second)
  long = ConvTranspose<strides=[HOP], pads=[LEFT,RIGHT]>(spectrum, inverse)
  wave = Squeeze(long, axis_one)
}
"""


def write_inverse_stft_vocoder(folder: Path, spec: MelSpec, **configuration: object) -> Path:
    """A vocoder without states; a sample depends on 3 frames of the network and the transform's own overlap."""
    n_bins, window = spec.n_fft // 2 + 1, analysis_window(spec)
    generator = np.random.default_rng(3)
    basis = np.fft.irfft(np.concatenate((np.eye(n_bins), 1j * np.eye(n_bins))), spec.n_fft, axis=-1) * window
    margin = (spec.n_fft - spec.hop_length) // 2
    numbers = {"M": spec.n_mels, "HOP": spec.hop_length, "LEFT": margin, "RIGHT": margin}
    text = _INVERSE_STFT
    for name, number in numbers.items():
        text = text.replace(name, str(number))
    constants = {
        "w_first": generator.normal(0, 0.3, (8, spec.n_mels, 5)).astype(np.float32),
        "w_second": generator.normal(0, 0.5, (2 * n_bins, 8, 3)).astype(np.float32),
        "inverse": basis[:, None].astype(np.float32),
        "axis_one": np.array([1]),
    }
    reach = 3 + -(-spec.n_fft // spec.hop_length)
    options = {"delay_frames": reach, "stream_frames": 8, "block_frames": 16, **configuration}
    with BundleWriter(folder, kind="vocoder", cls="tiny-istft", name="tiny", configuration=options, mel=spec) as writer:
        save_graph(writer.path("vocoder.onnx"), text, constants)
    return folder

"""The denoiser of a WaveGlow."""

import numpy as np
import torch

from optophone.core.denoiser import BIAS_FRAMES, Denoiser
from optophone.core.mel import MelSpec, stft
from optophone.models.vocoders.waveglow import WaveGlow


def build_denoiser(model: WaveGlow, spec: MelSpec | None = None) -> Denoiser:
    """The denoiser of `model`: its bias is the first spectrum of the wave of a mel of zeros, without noise."""
    spec = spec or MelSpec(n_mels=model.config.n_mels)
    parameter = next(model.parameters())
    silence = torch.zeros(1, model.config.n_mels, BIAS_FRAMES, dtype=parameter.dtype, device=parameter.device)
    wave = model.infer(silence, sigma=0.0)[0].float().cpu().numpy()
    return Denoiser(np.abs(stft(wave, spec)[:, 0]), spec)

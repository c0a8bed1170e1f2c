"""What a voice of a given pitch looks like before the mouth shapes it: the mel of a train of pulses."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.mel import MelSpec, analysis_window, mel_filter_bank

LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
_N_PITCHES = 256
_DEEPEST = -3.0  # ln units below the middle: between harmonics true voices have breath
_SPAN = math.log(HIGHEST_HZ / LOWEST_HZ)


def scale_pitch(hz: Tensor) -> Tensor:
    """Hz → 0 at `LOWEST_HZ`, 1 at `HIGHEST_HZ`, logarithmic; not limited."""
    return (hz.clamp(min=1.0) / LOWEST_HZ).log() / _SPAN


class Excitation(nn.Module):
    """Pitch → log-mel of pulses of that pitch, around a mean of 0; a table, without weights."""

    table: Tensor

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(_pulse_mels(spec)), persistent=False)

    def forward(self, pitch: Tensor) -> Tensor:
        """(B, T) scaled pitches, see `scale_pitch` → (B, T, M). Between two pitches of the table it goes straight."""
        place = pitch.clamp(0.0, 1.0) * (_N_PITCHES - 1)
        below = place.floor().clamp(max=_N_PITCHES - 2)
        share = (place - below)[:, :, None]
        row = below.long()
        return self.table[row] * (1 - share) + self.table[row + 1] * share


def _pulse_mels(spec: MelSpec) -> np.ndarray:
    """(pitches, M) float32."""
    at = (np.arange(spec.n_fft) - spec.n_fft // 2) / spec.sample_rate
    window, bank = analysis_window(spec), mel_filter_bank(spec)
    mels = np.empty((_N_PITCHES, spec.n_mels), np.float32)
    for i, place in enumerate(np.linspace(0.0, 1.0, _N_PITCHES)):
        hz = LOWEST_HZ * math.exp(place * _SPAN)
        harmonics = np.arange(1, int(spec.sample_rate / 2 / hz) + 1)
        pulses = np.cos(2 * np.pi * hz * harmonics[:, None] * at).sum(axis=0)
        mel = np.log(bank @ np.abs(np.fft.rfft(pulses * window)) + 1e-6)
        mels[i] = np.maximum(mel - np.median(mel), _DEEPEST)
    return mels - mels.mean(axis=1, keepdims=True)

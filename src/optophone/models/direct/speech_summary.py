"""Speech as features that can be compared with those of pictures."""

import math

import torch
from torch import Tensor, nn

from optophone.core.mel import MelSpec


class SpeechSummary(nn.Module):
    """Mel frames to features, a quarter as many; needed in training alone.

    Args:
        mel: layout of the frames.
        dim: D, features.
    """

    def __init__(self, mel: MelSpec, dim: int) -> None:
        super().__init__()
        self.silence = math.log(mel.floor)
        self.first = nn.Conv1d(mel.n_mels, dim, 5, stride=2, padding=2)
        self.second = nn.Conv1d(dim, dim, 5, stride=2, padding=2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, mel: Tensor, mel_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, T), (B,) → (B, D, T / 4), (B,) valid ones. What lies beyond a length is silent and does not matter."""
        beyond = torch.arange(mel.shape[2], device=mel.device) >= mel_lengths[:, None]
        # From 0 for silence to about 1, so that it is also what the convolutions are padded with.
        level = 1 - mel.masked_fill(beyond[:, None], self.silence) / self.silence
        x = torch.relu(self.first(level))
        beyond = torch.arange(x.shape[2], device=mel.device) >= (mel_lengths[:, None] + 1) // 2
        x = self.second(x.masked_fill(beyond[:, None], 0.0))
        return self.norm(x.transpose(1, 2)).transpose(1, 2), (mel_lengths + 3) // 4

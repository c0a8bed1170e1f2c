"""Mel frames as codes: a group of frames is the sum of one centre of each level."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.mel import MelSpec


class FrameCodes(nn.Module):
    """Groups of r frames to codes and back, by centres that do not learn.

    They are fitted once, before training (`core.residual_k_means`), and travel with the weights.

    Args:
        mel: layout of the frames.
        frames_per_step: r, frames of a group.
        n_levels: L.
        n_codes: K, centres of a level.

    Source: residual quantization of what an autoregressive transformer writes: Lee et al. 2022, "Autoregressive Image
    Generation Using Residual Quantization", section 3.1.
    """

    centres: Tensor

    def __init__(self, mel: MelSpec, frames_per_step: int, n_levels: int, n_codes: int) -> None:
        super().__init__()
        self.n_mels, self.frames_per_step = mel.n_mels, frames_per_step
        self.silence = math.log(mel.floor)
        self.register_buffer("centres", torch.zeros(n_levels, n_codes, frames_per_step * mel.n_mels))

    def set_centres(self, centres: np.ndarray) -> None:
        """Take `centres` (L, K, r·M)."""
        assert centres.shape == self.centres.shape, (centres.shape, tuple(self.centres.shape))
        self.centres.copy_(torch.from_numpy(centres))

    def steps(self, mel_lengths: Tensor) -> Tensor:
        """Groups (N,) of utterances of so many frames; the last one is filled up with silence."""
        return (mel_lengths + self.frames_per_step - 1) // self.frames_per_step

    def groups(self, mel: Tensor, mel_lengths: Tensor) -> Tensor:
        """Groups (N, U, r·M), frame after frame, of mel (N, M, T); silence beyond each length."""
        n_frames = mel.shape[2]
        n_steps = -(-n_frames // self.frames_per_step)
        beyond = torch.arange(n_frames, device=mel.device) >= mel_lengths[:, None]
        mel = mel.float().masked_fill(beyond[:, None], self.silence)
        mel = nn.functional.pad(mel, (0, n_steps * self.frames_per_step - n_frames), value=self.silence)
        return mel.transpose(1, 2).reshape(len(mel), n_steps, -1)

    def ungroup(self, groups: Tensor) -> Tensor:
        """The mel (N, M, U·r) of groups (N, U, r·M)."""
        return groups.unflatten(2, (self.frames_per_step, self.n_mels)).flatten(1, 2).transpose(1, 2)

    @torch.no_grad()
    def encode(self, groups: Tensor) -> Tensor:
        """Codes (N, U, L) int64 of groups (N, U, r·M): level by level the nearest centre of what is left."""
        codes = []
        with torch.autocast(groups.device.type, enabled=False):
            left = groups.float()
            for centres in self.centres:
                # Of |x - c|² the part that depends on c.
                code = (centres.square().sum(1) - 2 * left @ centres.T).argmin(2)
                left = left - centres[code]
                codes.append(code)
        return torch.stack(codes, 2)

    def decode(self, codes: Tensor) -> Tensor:
        """Groups (N, U, r·M) of codes (N, U, L): the sum of their centres."""
        chosen = [centres[code] for centres, code in zip(self.centres, codes.unbind(2), strict=True)]
        return torch.stack(chosen).sum(0)

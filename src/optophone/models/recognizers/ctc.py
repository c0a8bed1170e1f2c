"""A small recogniser without recurrence: mel → letters at a third of the frames."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.conv_next import ConvNeXtLayer


@dataclass(frozen=True)
class CtcRecognizerConfig:
    """Sizes of a `CtcRecognizer`.

    Args:
        n_symbols: letters and the blank, whose number is 0.
        n_mels: bands of a frame.
        dim, hidden_dim: features of a frame between and inside the layers.
        n_layers: ConvNeXt layers.
        kernel_size: frames that a layer sees, odd; of those that remain.
        stride: of so many frames one remains. Fast speech has 20 letters a second, each needs a frame, and two equal
            ones in a row another one between them.
        first_kernel_size: frames of the mel that one that remains sees, odd, at least `stride`.
        dropout: on what a layer adds.
        range_db: what is quieter than this below the loudest cell of the utterance counts as this quiet, so that a
            room's noise and digital silence sound alike.
    """

    n_symbols: int = 29
    n_mels: int = 80
    dim: int = 256
    hidden_dim: int = 768
    n_layers: int = 10
    kernel_size: int = 15
    stride: int = 3
    first_kernel_size: int = 9
    dropout: float = 0.1
    range_db: float = 70.0

    def __post_init__(self) -> None:
        """Refuse sizes that no recogniser has."""
        for name in ("n_symbols", "n_mels", "dim", "hidden_dim", "n_layers", "stride"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"CtcRecognizerConfig.{name} is {getattr(self, name)}; give at least 1.")
        for name in ("kernel_size", "first_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigurationError(f"CtcRecognizerConfig.{name} is {getattr(self, name)}; give an odd number.")
        if self.first_kernel_size < self.stride:
            raise ConfigurationError("CtcRecognizerConfig.first_kernel_size is below stride; frames would go unheard.")
        if not (self.range_db > 0 and 0 <= self.dropout < 1):
            raise ConfigurationError("CtcRecognizerConfig: range_db is above 0, dropout from 0 to below 1.")


class Heard(NamedTuple):
    """Fields: log_probs (B, V, T') natural logarithms float32; lengths (B,) of T' = ceil(T / stride)."""

    log_probs: Tensor
    lengths: Tensor


class CtcRecognizer(nn.Module):
    """Mel → how likely each letter, or none, is at each frame that remains.

    Convolutions along the frames of each feature and products along the features of each frame, as in QuartzNet
    (Kriman et al. 2020, "QuartzNet: Deep automatic speech recognition with 1D time-channel separable convolutions",
    section 3), in the order of ConvNeXt; what a frame says depends on about a second and a half to either side. The
    loss is connectionist temporal classification (Graves et al. 2006, section 4).
    """

    def __init__(self, config: CtcRecognizerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.first_kernel_size
        self.first = nn.Conv1d(config.n_mels, config.dim, width, config.stride, padding=width // 2)
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.layers = nn.ModuleList(
            ConvNeXtLayer(config.dim, config.hidden_dim, config.kernel_size, 1 / config.n_layers, config.dropout)
            for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(config.dim, config.n_symbols)

    def forward(self, mel: Tensor, mel_lengths: Tensor | None = None) -> Heard:
        """Hear utterances.

        Args:
            mel: (B, M, T) natural-log magnitude, laid out by `MelSpec`.
            mel_lengths: (B,) frames, 1..T, any order; None where all have T.
        """
        stride = self.config.stride
        if mel_lengths is None:
            lengths = torch.full((len(mel),), (mel.shape[2] + stride - 1) // stride, device=mel.device)
            mask, kept_mask = None, None
        else:
            lengths = (mel_lengths + stride - 1) // stride
            mask = torch.arange(mel.shape[2], device=mel.device) < mel_lengths[:, None]
            kept_mask = mask[:, ::stride]
        x = self.norm(self.first(level(mel, mask, self.config.range_db)).transpose(1, 2))
        for layer in self.layers:
            x = layer(x, kept_mask)
        logits = self.head(self.final_norm(x)).float()
        return Heard(logits.log_softmax(2).transpose(1, 2), lengths)


def level(mel: Tensor, mask: Tensor | None, range_db: float) -> Tensor:
    """`mel` (B, M, T) without what loudness, room and microphone do to it: of every band the mean over the utterance is
    taken away, and the whole is divided by its standard deviation; 0 where `mask` (B, T) is false.

    Source: Atal 1974, "Effectiveness of linear prediction characteristics of the speech wave for automatic speaker
    identification and verification", section V (the mean).
    """
    mel = mel.float()
    mask = torch.ones_like(mel[:, 0], dtype=torch.bool) if mask is None else mask
    valid = mask[:, None].to(mel.dtype)
    loudest = mel.masked_fill(~mask[:, None], -math.inf).amax((1, 2), keepdim=True)
    floored = torch.maximum(mel, loudest - range_db * math.log(10) / 20)
    n_frames = valid.sum(2, keepdim=True)
    centred = (floored - (floored * valid).sum(2, keepdim=True) / n_frames) * valid
    variance = centred.square().sum((1, 2), keepdim=True) / (n_frames * mel.shape[1])
    return centred / (variance.sqrt() + 1e-3)


def ctc_loss(heard: Heard, ids: Tensor, id_lengths: Tensor) -> Tensor:
    """Mean over utterances of the negative logarithm of a text's probability, for each of its letters.

    Texts that need more frames than there are have probability 0 and count as 0 here.

    Args:
        heard: of B utterances.
        ids: (B, S) letters, right-padded; none is the blank.
        id_lengths: (B,).

    Source: Graves et al. 2006, equations 8 and 9.
    """
    log_probs = heard.log_probs.float().permute(2, 0, 1)
    return F.ctc_loss(log_probs, ids, heard.lengths, id_lengths, blank=0, reduction="mean", zero_infinity=True)

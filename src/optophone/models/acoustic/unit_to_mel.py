"""Units to mel at once: how long each unit lasts, then all frames together."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.durations import PLACE_FEATURES, whole_durations
from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.parallel import Frames, frames_of
from optophone.models.conv_next import ConvNeXtLayer


@dataclass(frozen=True)
class UnitToMelConfig:
    """Sizes of a `UnitToMel`.

    Args:
        n_symbols: size of the vocabulary.
        n_mels: bands of a frame.
        dim, hidden_dim: features of a unit or frame between and inside layers.
        n_unit_layers, n_duration_layers, n_frame_layers: ConvNeXt layers over units, over units to find how long they
            last, and over frames.
        unit_kernel_size, frame_kernel_size: what a layer sees, odd.
        dropout: on what each layer adds.
    """

    n_symbols: int = 1027
    n_mels: int = 80
    dim: int = 256
    hidden_dim: int = 768
    n_unit_layers: int = 2
    n_duration_layers: int = 2
    n_frame_layers: int = 6
    unit_kernel_size: int = 5
    frame_kernel_size: int = 7
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        for name in ("unit_kernel_size", "frame_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigurationError(f"UnitToMelConfig.{name} is {getattr(self, name)}; give an odd number.")


class UnitToMelOutput(NamedTuple):
    """What training compares, with the true durations given.

    Fields: mel (B, M, T), 0 beyond each length; log_durations (B, S) of 1 + frames.
    """

    mel: Tensor
    log_durations: Tensor


class UnitToMel(nn.Module):
    """Units of speech to mel frames without recurrence and without attention: the fast way.

    How long units last is known, which is how many frames in a row have the same; and they say all of how a thing is
    said but for the pitch, so plain distances of mels suffice. What is learned is a vocoder's first half.

    Source: Polyak et al. 2021, "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations", 3, with
    the durations of Lee et al. 2022, "Direct Speech-to-Speech Translation With Discrete Units", 3.3, laid out as in Ren
    et al. 2019, "FastSpeech", 3.2; to a mel instead of a wave, in layers of `ConvNeXtLayer`.
    """

    def __init__(self, config: UnitToMelConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embedding = nn.Embedding(config.n_symbols, dim)
        self.unit_layers = self._layers(config.n_unit_layers, config.unit_kernel_size)
        self.unit_norm = nn.LayerNorm(dim)
        self.duration_layers = self._layers(config.n_duration_layers, config.unit_kernel_size)
        self.duration = nn.Linear(dim, 1)
        self.place = nn.Linear(PLACE_FEATURES, dim)
        self.frame_layers = self._layers(config.n_frame_layers, config.frame_kernel_size)
        self.frame_norm = nn.LayerNorm(dim)
        self.mel = nn.Linear(dim, config.n_mels)

    def _layers(self, n: int, kernel_size: int) -> nn.ModuleList:
        config = self.config
        return nn.ModuleList(
            ConvNeXtLayer(config.dim, config.hidden_dim, kernel_size, 1 / n, config.dropout) for _ in range(n)
        )

    def forward(self, ids: Tensor, ids_mask: Tensor, frames: Frames) -> UnitToMelOutput:
        """The mel of known durations, and the durations that the network would have given.

        Args:
            ids: (B, S) units, right-padded.
            ids_mask: (B, S) true at valid units.
            frames: places that follow from the durations.
        """
        encoded, log_durations = self.encode(ids, ids_mask)
        symbols = frames.symbols[:, :, None].expand(-1, -1, encoded.shape[2])
        return UnitToMelOutput(self.draw(encoded.gather(1, symbols), frames.features, frames.mask), log_durations)

    def encode(self, ids: Tensor, ids_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Units with what is around them (B, S, D), and ln(1 + frames) (B, S); `ids_mask` None: all are valid."""
        x = self.embedding(ids)
        for layer in self.unit_layers:
            x = layer(x, ids_mask)
        x = self.unit_norm(x)
        lasting = x.detach()  # what units are is for the mel to say
        for layer in self.duration_layers:
            lasting = layer(lasting, ids_mask)
        return x, self.duration(lasting)[:, :, 0].float()

    def draw(self, encoded: Tensor, places: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mel (B, M, T) of frames.

        Args:
            encoded: (B, T, D) the unit of every frame.
            places: (B, T, 3) its place in that unit, see `core.durations.Places`.
            mask: (B, T) true at valid frames, None for all; the mel is 0 elsewhere.
        """
        x = encoded + self.place(places)
        for layer in self.frame_layers:
            x = layer(x, mask)
        mel = self.mel(self.frame_norm(x)).float().transpose(1, 2)
        return mel if mask is None else mel.masked_fill(~mask[:, None], 0.0)

    @torch.no_grad()
    def infer(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The mel (M, T) of `ids` (S,) and the whole frames (S,) that each lasts."""
        encoded, log_durations = self.encode(ids[None])
        durations = whole_durations(log_durations[0].expm1().cpu().numpy())
        frames = frames_of([durations], ids.device)
        laid_out = encoded[:, frames.symbols[0]]
        return self.draw(laid_out, frames.features)[0], torch.from_numpy(durations)

"""Which frames of an utterance belong to which of its symbols, learned from nothing but pairs of both."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.conv_next import ConvNeXtLayer


@dataclass(frozen=True)
class AlignmentNetworkConfig:
    """Sizes of an `AlignmentNetwork`.

    Args:
        n_symbols: size of the vocabulary.
        n_speakers: voices; 0 is one.
        n_mels: bands.
        dim, hidden_dim: features of a symbol between and inside layers.
        n_layers: over symbols.
        kernel_size: symbols that a layer sees, odd.
        diagonal: width of the belief that speech goes through its text evenly, as a share of the utterance.
        dropout: on what each layer adds.
    """

    n_symbols: int = 148
    n_speakers: int = 0
    n_mels: int = 80
    dim: int = 192
    hidden_dim: int = 512
    n_layers: int = 4
    kernel_size: int = 5
    diagonal: float = 0.15
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        if self.kernel_size % 2 == 0:
            raise ConfigurationError(f"AlignmentNetworkConfig.kernel_size is {self.kernel_size}; give an odd number.")
        if self.diagonal <= 0:
            raise ConfigurationError(f"AlignmentNetworkConfig.diagonal is {self.diagonal}; give more than 0.")


class AlignmentNetwork(nn.Module):
    """What each symbol sounds like between its neighbours: one spectrum; frames belong to symbols they are near to.

    Source: the encoder and the prior of Popov et al. 2021, "Grad-TTS", section 3, with the layers of `ConvNeXtLayer`
    and a normal distribution around the diagonal as the belief before anything is known.
    """

    def __init__(self, config: AlignmentNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_symbols, config.dim)
        self.speakers = nn.Embedding(config.n_speakers, config.dim) if config.n_speakers else None
        self.layers = nn.ModuleList(
            ConvNeXtLayer(config.dim, config.hidden_dim, config.kernel_size, 1 / config.n_layers, config.dropout)
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.spectrum = nn.Linear(config.dim, config.n_mels)

    def forward(self, ids: Tensor, id_lengths: Tensor, speakers: Tensor | None = None) -> Tensor:
        """The mean mel (B, S, M) of each symbol's frames.

        Args:
            ids: (B, S) symbols, right-padded.
            id_lengths: (B,).
            speakers: (B,) where there are several.
        """
        assert (speakers is None) == (self.speakers is None), "give speakers exactly where the model has several"
        x = self.embedding(ids)
        if self.speakers is not None:
            x = x + self.speakers(speakers)[:, None]
        mask = torch.arange(ids.shape[1], device=ids.device)[None] < id_lengths[:, None]
        for layer in self.layers:
            x = layer(x, mask)
        return self.spectrum(self.norm(x)).float()

    def log_likelihoods(self, spectra: Tensor, mel: Tensor) -> Tensor:
        """How well frames fit symbols (T, S), but for a constant, the belief included: the mean over the bands, because
        what neighbouring bands say is much the same.

        Args:
            spectra: (S, M) of one utterance, without padding.
            mel: (M, T) of the same utterance.
        """
        # |a - b|² = |a|² - 2ab + |b|², of which |a|² is the same for all symbols of a frame.
        likelihoods = mel.T @ spectra.T - spectra.square().sum(1) / 2
        at_frame, at_symbol = ((torch.arange(n, device=mel.device) + 0.5) / n for n in (mel.shape[1], len(spectra)))
        belief = -((at_frame[:, None] - at_symbol) ** 2) / (2 * self.config.diagonal**2)
        return (likelihoods + belief) / self.config.n_mels

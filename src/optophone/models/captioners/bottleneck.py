"""A bottleneck that pictures and speech share, before any member of the captioner family."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from optophone.models.captioners.captioner import HasAuxiliaryLosses
from optophone.models.captioners.multi_head_attention import MultiHeadAttention
from optophone.models.captioners.output import CaptionerOutput


@dataclass(frozen=True)
class BottleneckConfig:
    """Sizes of a `Bottleneck`.

    Args:
        n_slots: learned vectors that everything is a mixture of.
        dim: features of them, and of what a modality is embedded as.
        n_heads: mixtures side by side; divides dim.
    """

    n_slots: int = 64
    dim: int = 256
    n_heads: int = 4


class Bottleneck(nn.Module):
    """Embedded tokens of any modality → mixtures of the same learned vectors → regions.

    What comes out knows of its input only how much each slot counts in each head, so a picture and speech about it can
    hardly be told apart.

    Source: Ma et al. 2019, "Unpaired Image-to-Speech Synthesis with Multimodal Information Bottleneck": the modality
    transformer, here one normalised layer, and the memory fusion module, attention in several heads to the hyperbolic
    tangents of shared tokens.
    """

    def __init__(self, config: BottleneckConfig, region_dim: int) -> None:
        super().__init__()
        dim = config.dim
        self.transform = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.slots = nn.Parameter(torch.randn(1, config.n_slots, dim))
        self.fuse = MultiHeadAttention(dim, config.n_heads)
        self.output = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, region_dim))
        # With the usual small weights all mixtures begin as nearly the same one, and no picture differs from another.
        nn.init.normal_(self.fuse.query.weight, std=2 * dim**-0.5)
        nn.init.normal_(self.fuse.key_value.weight, std=dim**-0.5)

    def forward(self, embedded: Tensor) -> Tensor:
        """Regions (B, R, D) of tokens (B, R, dim)."""
        slots = self.fuse.keys_values(self.slots.tanh()).expand(embedded.shape[0], -1, -1, -1)
        return self.output(self.fuse(self.transform(embedded), slots)[0])


class BottleneckedDecoder(nn.Module):
    """A decoder that sees pictures through a bottleneck; it has losses of its own where the decoder inside does.

    Args:
        decoder: an nn.Module with the methods of `CaptionDecoder`.
        config: sizes of the bottleneck.
        region_dim: D.
    """

    def __init__(self, decoder: nn.Module, config: BottleneckConfig, region_dim: int) -> None:
        super().__init__()
        self.decoder: Any = decoder
        self.from_picture = nn.Linear(region_dim, config.dim)
        self.bottleneck = Bottleneck(config, region_dim)
        if isinstance(decoder, HasAuxiliaryLosses):
            self.auxiliary_losses = decoder.auxiliary_losses

    @property
    def shares_memory(self) -> bool:
        """Whether `step` takes several rows for each row of memory."""
        return bool(getattr(self.decoder, "shares_memory", False))

    def squeeze(self, regions: Tensor) -> Tensor:
        """Regions (B, R, D) of a picture as the decoder inside sees them."""
        # As many as there were: an ONNX graph does not see that through the heads, and would keep the example's number.
        return self.bottleneck(self.from_picture(regions)).view_as(regions)

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, captions_per_picture: int = 1
    ) -> CaptionerOutput:
        """Teacher-forced: logits (B·C, S, V), attention (B·C, S, R)."""
        return self.decoder(self.squeeze(regions), regions_mask, ids, captions_per_picture)

    def teach_embedded(self, embedded: Tensor, ids: Tensor) -> CaptionerOutput:
        """As `forward`, of another modality's tokens (B, R, dim) instead of a picture; ids (B, S)."""
        return self.decoder(self.bottleneck(embedded), None, ids, 1)

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What stays the same for each picture, and the first state."""
        return self.decoder.begin(self.squeeze(regions), regions_mask)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """One symbol further: log_probs (N, V), attention (N, R), the next state."""
        return self.decoder.step(ids, memory, state)

"""A captioner whole: the network that sees and the one that writes."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from optophone.models.captioners.output import CaptionerOutput


class CaptionDecoder(Protocol):
    """Regions → symbols. Every member of the family is an nn.Module with these methods."""

    def __call__(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, captions_per_picture: int = 1
    ) -> CaptionerOutput:
        """Teacher-forced: logits (B·C, S, V), attention (B·C, S, R)."""
        ...

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What stays the same for each picture, and the first state; all indexed by picture on axis 0."""
        ...

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """One symbol further: log_probs (N, V), attention (N, R), the next state."""
        ...


@runtime_checkable
class HasAuxiliaryLosses(Protocol):
    """A decoder whose paper trains it with more than cross-entropy (hard attention, attributes, later symbols)."""

    def auxiliary_losses(self, output: CaptionerOutput, targets: Tensor, ignored: int) -> dict[str, Tensor]:
        """Named scalars, each already weighted, that training adds to the cross-entropy.

        Args:
            output: of the decoder in training, for the same captions.
            targets: (B, S) the next symbols, end included.
            ignored: the id in `targets` that does not count (padding).
        """
        ...


class Captioner(nn.Module):
    """Pictures → symbols.

    Args:
        encoder: pictures (B, 3, H, W) → regions (B, R, D).
        decoder: an nn.Module with the methods of `CaptionDecoder`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, pictures: Tensor, ids: Tensor, captions_per_picture: int = 1) -> CaptionerOutput:
        """Score the next symbol after every symbol of known captions.

        Args:
            pictures: (B, 3, H, W) normalised.
            ids: (B·C, S) input symbols that begin with start, right-padded; the C captions of a picture are adjacent.
            captions_per_picture: C.

        Returns:
            logits (B·C, S, V), attention (B·C, S, R).
        """
        return self.decoder(self.encoder(pictures), None, ids, captions_per_picture)

    def begin(self, pictures: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Look at pictures (B, 3, H, W) once: the decoder's memory and its first state, one row per picture."""
        return self.decoder.begin(self.encoder(pictures), None)  # type: ignore[operator]

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """One symbol further: log_probs (N, V), attention (N, R), the next state."""
        return self.decoder.step(ids, memory, state)  # type: ignore[operator]

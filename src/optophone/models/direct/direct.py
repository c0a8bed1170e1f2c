"""A direct model whole: the network that sees and the one that speaks."""

from typing import Any, Protocol

from torch import Tensor, nn

from optophone.models.direct.interface import TrueSpeech


class PictureSpeaker(Protocol):
    """Regions → speech. Every member of the family is an nn.Module that is taught by this call."""

    def __call__(
        self, regions: Tensor, regions_mask: Tensor | None, speech: TrueSpeech, captions_per_picture: int = 1
    ) -> Any:
        """Teacher-forced, of regions (B, R, D) and N = B·C utterances: what the member's losses compare."""
        ...


class Direct(nn.Module):
    """Pictures → speech.

    Args:
        encoder: pictures (B, 3, H, W) → regions (B, R, D).
        speaker: a `PictureSpeaker`.
    """

    def __init__(self, encoder: nn.Module, speaker: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.speaker = speaker

    def forward(self, pictures: Tensor, speech: TrueSpeech, captions_per_picture: int = 1) -> Any:
        """What the speaker gives for pictures (B, 3, H, W) and B·C utterances about them."""
        return self.speaker(self.encoder(pictures), None, speech, captions_per_picture)

    def begin(self, pictures: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Look at pictures (B, 3, H, W) once: what stays the same, and the state before the first step; for speakers
        that go step by step."""
        return self.speaker.begin(self.encoder(pictures), None)  # type: ignore[operator]

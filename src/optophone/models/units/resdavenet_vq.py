"""ResDAVEnet-VQ: units of speech, learned by telling which picture an utterance describes."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.encoders.build import EncoderConfig
from optophone.models.units.matching import MatchingLosses, sampled_triplet_loss, semi_hard_triplet_loss, similarity
from optophone.models.units.picture_branch import PictureBranch
from optophone.models.units.resdavenet import ResDAVEnet, ResDAVEnetConfig, ResDAVEnetOutput


@dataclass(frozen=True)
class ResDAVEnetVQConfig:
    """Both halves of a `ResDAVEnetVQ`.

    Args:
        audio: the half that hears.
        picture: encoder of the half that sees; None where there is speech alone.
        margin: by which partners are to win over impostors.
    """

    audio: ResDAVEnetConfig = field(default_factory=ResDAVEnetConfig)
    picture: EncoderConfig | None = None
    margin: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a margin that partners need not win by."""
        if self.margin <= 0:
            raise ConfigurationError(f"resdavenet-vq: margin is {self.margin}; it must be positive.")


class ResDAVEnetVQ(nn.Module):
    """Speech → units, and pictures and speech → whether they belong together.

    A step of training: ``output = model(levels, n_frames)``, ``losses = model.losses(model.regions(pictures),
    output)``, ``model.update_codebooks(output)``, ``losses.total.backward()``.

    Source: Harwath, Hsu and Glass 2020, "Learning Hierarchical Discrete Linguistic Units from Visually-Grounded
    Speech". Proof: tests/parity/test_resdavenet_vq.py
    """

    def __init__(self, config: ResDAVEnetVQConfig) -> None:
        super().__init__()
        self.config = config
        self.audio = ResDAVEnet(config.audio)
        self.picture = None if config.picture is None else PictureBranch(config.picture, self.audio.n_features)

    def forward(
        self, levels: Tensor, n_frames: Tensor | None = None, jitter_draws: tuple[Tensor, ...] | None = None
    ) -> ResDAVEnetOutput:
        """Features and units of speech `levels` (B, M, T); see `ResDAVEnet.forward`."""
        return self.audio(levels, n_frames, jitter_draws)

    def regions(self, pictures: Tensor) -> Tensor:
        """Regions (B, R, D) of pictures, in the space that speech shares; see `PictureBranch`."""
        assert self.picture is not None, "this model has no half that sees"
        return self.picture(pictures)

    def units(self, levels: Tensor, position: int) -> Tensor:
        """Units (S,) of one utterance, `levels` (M, T) without padding; see `ResDAVEnet.units`."""
        return self.audio.units(levels, position)

    def similarity(self, regions: Tensor, output: ResDAVEnetOutput) -> Tensor:
        """(B, B') how well pictures (rows) and speech go together."""
        return similarity(regions, output.frames, output.lengths)

    def losses(
        self, regions: Tensor, output: ResDAVEnetOutput, negatives: tuple[Tensor, Tensor] | None = None
    ) -> MatchingLosses:
        """What training minimizes, for pairs of picture and speech.

        Args:
            regions: (B, R, D) of `regions`.
            output: of the same pairs, in the same order.
            negatives: (B,) the impostor of each picture and of each utterance; None draws them.
        """
        scores = self.similarity(regions, output)
        to_speech, to_picture = (None, None) if negatives is None else negatives
        margin = self.config.margin
        parts = [position.loss for position in output.positions if position.loss is not None]
        return MatchingLosses(
            sampled_triplet_loss(scores, margin, to_speech),
            sampled_triplet_loss(scores.T, margin, to_picture),
            semi_hard_triplet_loss(scores, margin),
            semi_hard_triplet_loss(scores.T, margin),
            torch.stack(parts).sum() if parts else scores.new_zeros(()),
        )

    def update_codebooks(self, output: ResDAVEnetOutput) -> None:
        """Move the codebooks towards the frames of `output`; the losses of it stay those of the old codes."""
        self.audio.update_codebooks(output)

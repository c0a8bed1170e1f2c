"""Picture → units → mel in one graph: what is heard reaches the network that chose the units."""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.parallel import ParallelAcoustic, ParallelConfig, ParallelOutput
from optophone.models.captioners.build import DecoderConfig, build_decoder
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.direct.interface import Ends, TrueSpeech

_NEVER = -1e9  # the score of a unit that cannot come; finite, so that padding gives no NaN


@dataclass(frozen=True)
class JointConfig:
    """The two halves of a `Joint`, and how the one hears the other in training.

    Args:
        captioner: the half that writes units: any member of the captioner family, with places for the longest caption.
        voice: the half that says them; without prosody.
        relaxation: what the voice is given at each place: one unit, drawn from the captioner's distribution by
            Gumbel's trick, with the gradient of the soft choice ("straight-through"); or the mixture of all units by
            their probabilities ("soft").
        temperature: of that choice; the lower, the harder and the noisier its gradient.
        own_share: probability, in training, that a place has the captioner's unit and not the true one. Where all are
            its own, half of them are wrong at first, and the voice learns to mumble.
    """

    captioner: DecoderConfig = field(default_factory=lambda: DecoderConfig("transformer"))
    voice: ParallelConfig = field(default_factory=lambda: ParallelConfig(prosody=False))
    relaxation: Literal["straight-through", "soft"] = "straight-through"
    temperature: float = 1.0
    own_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse voices that need more than units, and choices that are none."""
        if self.voice.prosody:
            raise ConfigurationError("voice.prosody: columns of units hold no pitch; give false.")
        if self.temperature <= 0 or not 0 < self.own_share <= 1:
            raise ConfigurationError("joint: temperature is above 0; own_share is above 0, at most 1.")


class JointOutput(NamedTuple):
    """What training compares.

    Fields: caption, scores of the next unit at every place and where the captioner looked (N, S + 1, ·); units (N, S,
    V), what the voice was given; voice, what it made of them with the true durations.
    """

    caption: CaptionerOutput
    units: Tensor
    voice: ParallelOutput


class Joint(nn.Module):
    """A captioner over units and a voice over the same units, trained as one.

    The captioner reads the true units before each place; its distribution over the unit that follows becomes the
    voice's input there. So an error that sounds nearly right costs less than one that does not, which cross-entropy
    cannot tell.

    Source: straight-through choice: Jang, Gu and Poole 2017, "Categorical Reparameterization with Gumbel-Softmax",
    section 2.2; the halves are those of their own families.

    Args:
        config: both halves.
        ends: with a vocabulary of units that has start and end.

    Raises:
        ConfigurationError: there are no units.
    """

    silent: Tensor

    def __init__(self, config: JointConfig, ends: Ends) -> None:
        super().__init__()
        vocabulary = ends.vocabulary
        if vocabulary is None or vocabulary.start is None or vocabulary.end is None:
            raise ConfigurationError("model joint: goes by way of units; give data.units, a column of them.")
        self.config, self.start = config, vocabulary.start
        self.captioner = build_decoder(config.captioner, len(vocabulary), ends.region_dim, ends.grid)
        self.voice = ParallelAcoustic(replace(config.voice, n_symbols=len(vocabulary)), ends.mel)
        special = {vocabulary.pad, vocabulary.start, vocabulary.end, vocabulary.unknown}
        silent = torch.tensor([i in special for i in range(len(vocabulary))])
        self.register_buffer("silent", silent, persistent=False)

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, speech: TrueSpeech, captions_per_picture: int = 1
    ) -> JointOutput:
        """Write the units of `speech`, each after the true ones before it, and say what was written.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.
            speech: N = B·C utterances with their units.
            captions_per_picture: C.
        """
        ids, ids_mask, frames = speech.ids, speech.ids_mask, speech.frames
        assert ids is not None
        assert ids_mask is not None
        assert frames is not None
        read = torch.cat((torch.full_like(ids[:, :1], self.start), ids), dim=1)
        caption = self.captioner(regions, regions_mask, read, captions_per_picture)
        units = self.choose(caption.logits[:, :-1], read[:, :-1])
        if self.training and self.config.own_share < 1:
            own = torch.rand(ids.shape, device=ids.device) < self.config.own_share
            units = torch.where(own[:, :, None], units, functional.one_hot(ids, units.shape[2]).to(units.dtype))
        encoded, log_durations = self.voice.encode_embedded(units @ self.voice.embedding.weight, ids_mask)
        mel = self.voice.draw(self.voice.lay_out(encoded, frames), None, frames.mask)
        return JointOutput(caption, units, ParallelOutput(mel, log_durations, None))

    def choose(self, logits: Tensor, before: Tensor) -> Tensor:
        """What the voice is given at each place, (N, S, V), for scores `logits` (N, S, V).

        As in the search, nothing but units is chosen, and no unit that stands `before` (N, S): runs are collapsed. In
        evaluation mode nothing is drawn.
        """
        scores = logits.float().masked_fill(self.silent, _NEVER).scatter(2, before[:, :, None], _NEVER)
        temperature = self.config.temperature
        if self.config.relaxation == "soft":
            return (scores / temperature).softmax(2)
        if self.training:
            return functional.gumbel_softmax(scores, temperature, hard=True)
        return functional.one_hot(scores.argmax(2), scores.shape[2]).to(scores.dtype)

    @torch.no_grad()
    def say(self, ids: Tensor) -> tuple[Tensor, np.ndarray]:
        """Speak units `ids` (S,), S > 0: mel (M, T), and whole frames of each (S,)."""
        return self.voice.infer(ids)

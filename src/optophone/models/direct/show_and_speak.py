"""Picture → speech by an attention LSTM that looks at regions and says frames: the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.attention import LocationAttention
from optophone.models.acoustic.decoder import Decoder, DecoderMemory, DecoderState, DecoderStep
from optophone.models.acoustic.postnet import Postnet
from optophone.models.acoustic.prenet import Prenet
from optophone.models.acoustic.tacotron2 import PADDED_STOP_LOGIT, AcousticOutput
from optophone.models.direct.interface import Ends, TrueSpeech
from optophone.models.direct.speech_summary import SpeechSummary
from optophone.models.units.matching import similarity


@dataclass(frozen=True)
class ShowAndSpeakConfig:
    """Sizes of a `ShowAndSpeak`; what is not named here is as in `Tacotron2Config`.

    Args:
        memory_dim: features of a region inside.
        attention_dim, location_filters, location_kernel_size: of the attention. A kernel of 1 tells each region how
            much it was looked at; wider ones also see its neighbours in the same row.
        attention_rnn_dim, decoder_rnn_dim: features of the two LSTMs.
        attention_dropout, decoder_dropout, region_dropout: in training.
        prenet_dims, prenet_dropout: width of both prenet layers; probability of a zero after each, also when speaking.
        postnet_dim, postnet_convolutions, postnet_kernel_size, postnet_dropout: of the postnet.
        reduction_factor: frames a step.
        stop_threshold: probability from which a frame is the last.
        max_frames: the longest utterance.
    """

    memory_dim: int = 256
    attention_dim: int = 128
    location_filters: int = 8
    location_kernel_size: int = 1
    attention_rnn_dim: int = 512
    decoder_rnn_dim: int = 512
    attention_dropout: float = 0.1
    decoder_dropout: float = 0.1
    region_dropout: float = 0.1
    prenet_dims: tuple[int, int] = (128, 128)
    prenet_dropout: float = 0.5
    postnet_dim: int = 256
    postnet_convolutions: int = 5
    postnet_kernel_size: int = 5
    postnet_dropout: float = 0.5
    reduction_factor: int = 4
    stop_threshold: float = 0.5
    max_frames: int = 640

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        for name in ("postnet_kernel_size", "location_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigurationError(f"show-and-speak: {name} is {getattr(self, name)}; give an odd number.")
        if min(self.reduction_factor, self.postnet_convolutions, *self.prenet_dims) < 1:
            raise ConfigurationError(
                "show-and-speak: reduction_factor, postnet_convolutions and prenet_dims are at least 1."
            )

    @property
    def postnet_context(self) -> int:
        """Frames to either side that a frame of the refined mel depends on."""
        return self.postnet_convolutions * (self.postnet_kernel_size // 2)


class ShowAndSpeakOutput(NamedTuple):
    """Fields: acoustic, with the attention over regions as its alignment; scores (B, B), how well each picture (row)
    goes with the first utterance about each picture (column)."""

    acoustic: AcousticOutput
    scores: Tensor


class FreeSpeech(NamedTuple):
    """Fields: mel (M, T); alignment (U, R); stopped, false where it was cut off."""

    mel: Tensor
    alignment: Tensor
    stopped: bool


class ShowAndSpeak(nn.Module):
    """The decoder of Tacotron 2, looking at the regions of a picture in place of symbols.

    Its output is a mean, so where people say different things of a picture it says something between them.

    Source: in the manner of Wang et al. 2021, "Show and Speak: Directly Synthesize Spoken Description of Images", an
    encoder and an attentive decoder of spectra; the decoder is that of Shen et al. 2018, section 2.2. That pictures and
    speech are matched beside is Harwath et al. 2018, see `models.units.matching`.

    Args:
        config: sizes.
        ends: what is read and made.
    """

    def __init__(self, config: ShowAndSpeakConfig, ends: Ends) -> None:
        super().__init__()
        self.config, self.n_mels = config, ends.mel.n_mels
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.region_projection = nn.Linear(ends.region_dim, config.memory_dim)
        self.region_norm = nn.LayerNorm(config.memory_dim)
        attention = LocationAttention(
            config.attention_rnn_dim,
            config.memory_dim,
            config.attention_dim,
            config.location_filters,
            config.location_kernel_size,
        )
        self.decoder = Decoder(
            Prenet(self.n_mels, config.prenet_dims, config.prenet_dropout, at_inference=True),
            attention,
            config.prenet_dims[-1],
            config.memory_dim,
            config.attention_rnn_dim,
            config.decoder_rnn_dim,
            self.n_mels,
            config.reduction_factor,
            config.attention_dropout,
            config.decoder_dropout,
            None,
        )
        self.refiner = Postnet(
            self.n_mels,
            config.postnet_dim,
            config.postnet_convolutions,
            config.postnet_kernel_size,
            config.postnet_dropout,
        )
        self.summary = SpeechSummary(ends.mel, config.memory_dim)

    def forward(
        self,
        regions: Tensor,
        regions_mask: Tensor | None,
        speech: TrueSpeech,
        captions_per_picture: int = 1,
        own_share: float = 0.0,
        prenet_masks: Sequence[Tensor] | None = None,
    ) -> ShowAndSpeakOutput:
        """Predict the frames of `speech`, each step after the true frame before it.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.
            speech: N = B·C utterances.
            captions_per_picture: C.
            own_share: probability that a step reads the model's own frame instead (scheduled sampling).
            prenet_masks: one (U, N, size) per prenet layer, instead of random dropout.
        """
        mel, mel_lengths, c = speech.mel, speech.mel_lengths, captions_per_picture
        remembered = self.remember(regions, regions_mask)
        memory = DecoderMemory(*(part.repeat_interleave(c, 0) for part in remembered))
        r, n_frames = self.config.reduction_factor, mel.shape[2]
        n_steps = -(-n_frames // r)
        frames = torch.cat((mel.new_zeros(1, *mel.shape[:2]), mel[:, :, r - 1 :: r].permute(2, 0, 1)))[:n_steps]
        if own_share > 0:
            frames = self._mix(frames, memory, own_share)
        before, stop_logits, alignment = self.decoder(frames, memory, prenet_masks)
        valid = torch.arange(n_frames, device=mel.device) < mel_lengths[:, None]
        before, stop_logits = before[:, :, :n_frames].to(mel.dtype), stop_logits[:, :n_frames].to(mel.dtype)
        after = before + self.refiner(before, valid[:, None]).to(mel.dtype)
        acoustic = AcousticOutput(
            before.masked_fill(~valid[:, None], 0.0),
            after.masked_fill(~valid[:, None], 0.0),
            stop_logits.masked_fill(~valid, PADDED_STOP_LOGIT),
            alignment,
            (mel_lengths + r - 1) // r,
        )
        return ShowAndSpeakOutput(acoustic, similarity(remembered.encoded, *self.summary(mel[::c], mel_lengths[::c])))

    @torch.no_grad()
    def _mix(self, frames: Tensor, memory: DecoderMemory, share: float) -> Tensor:
        """Frames (U, N, M) that are read, some of them replaced by what the decoder says when it reads those before.

        Source: Bengio et al. 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks",
        section 2.4.
        """
        replaced = torch.rand(frames.shape[:2], device=frames.device) < share
        mixed, state = frames.clone(), self.decoder.begin(memory)
        for i in range(len(frames) - 1):
            step = self.decoder.step(mixed[i], None, memory, state)
            state = step.state
            mixed[i + 1] = torch.where(replaced[i + 1][:, None], step.frames[:, :, -1].to(mixed.dtype), mixed[i + 1])
        return mixed

    def remember(self, regions: Tensor, regions_mask: Tensor | None) -> DecoderMemory:
        """The regions (B, R, D) as the decoder sees them."""
        encoded = self.region_norm(self.region_projection(self.region_dropout(regions)))
        mask = torch.ones(regions.shape[:2], dtype=torch.bool, device=regions.device)
        return self.decoder.remember(encoded, mask if regions_mask is None else regions_mask)

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[DecoderMemory, DecoderState]:
        """Look at pictures (B, R, D) once: what stays the same, and the state before the first step."""
        memory = self.remember(regions, regions_mask)
        return memory, self.decoder.begin(memory)

    def step(
        self, frame: Tensor, prenet_masks: Sequence[Tensor] | None, memory: DecoderMemory, state: DecoderState
    ) -> DecoderStep:
        """The next r frames after `frame` (B, M); zeros are the frame before the first."""
        return self.decoder.step(frame, prenet_masks, memory, state)

    def refine(self, mel: Tensor) -> Tensor:
        """The refined mel (B, M, T) of `mel`, all of it valid."""
        return mel + self.refiner(mel)

    @torch.no_grad()
    def infer(
        self, regions: Tensor, regions_mask: Tensor | None = None, prenet_masks: Sequence[Tensor] | None = None
    ) -> list[FreeSpeech]:
        """Speak about every picture (B, R, D), each until its stop or the cap.

        `prenet_masks`, one (U, B, size) per prenet layer, replace random dropout.
        """
        memory, state = self.begin(regions, regions_mask)
        config = self.config
        steps: list[DecoderStep] = []
        frame = regions.new_zeros(len(regions), self.n_mels)
        lengths = torch.full((len(regions),), config.max_frames, device=regions.device)
        stopped = torch.zeros_like(lengths, dtype=torch.bool)
        while len(steps) * config.reduction_factor < int(lengths.max()):
            masks = None if prenet_masks is None else [mask[len(steps)] for mask in prenet_masks]
            step = self.step(frame, masks, memory, state)
            frame, state = step.frames[:, :, -1], step.state
            ends = torch.sigmoid(step.stop_logits) > config.stop_threshold
            end = len(steps) * config.reduction_factor + ends.long().argmax(1) + 1
            ending = ends.any(1) & ~stopped & (end <= config.max_frames)
            lengths, stopped = torch.where(ending, end, lengths), stopped | ending
            steps.append(step)
        raw = torch.cat([step.frames for step in steps], 2)
        looked = torch.stack([step.alignment for step in steps], 1)
        said = []
        for mel, alignment, n, end in zip(raw, looked, lengths.tolist(), stopped.tolist(), strict=True):
            said.append(
                FreeSpeech(self.refine(mel[None, :, :n])[0], alignment[: -(-n // config.reduction_factor)], end)
            )
        return said

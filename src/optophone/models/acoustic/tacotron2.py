"""Tacotron 2: symbols to mel, with attention."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.attention import LocationAttention
from optophone.models.acoustic.decoder import Decoder, DecoderMemory, DecoderState, DecoderStep
from optophone.models.acoustic.normed_convolution import valid_mask
from optophone.models.acoustic.postnet import Postnet
from optophone.models.acoustic.prenet import Prenet
from optophone.models.acoustic.symbol_encoder import SymbolEncoder

PADDED_STOP_LOGIT = 1000.0


@dataclass(frozen=True)
class Tacotron2Config:
    """Sizes of a Tacotron 2; the defaults are those of the public LJSpeech checkpoints.

    Args:
        n_symbols: size of the vocabulary.
        n_mels: bands of a frame.
        embedding_dim, encoder_dim: features of a symbol before and after the encoder.
        encoder_convolutions, encoder_kernel_size, encoder_dropout: of the encoder's convolution stack.
        n_speakers, speaker_dim: 0 speakers is one voice; otherwise an embedding joins the encoded symbols.
        attention_dim, location_filters, location_kernel_size: of the attention.
        attention_rnn_dim, decoder_rnn_dim: features of the two LSTMs.
        attention_dropout, decoder_dropout: on their hidden states, in training.
        prenet_dims, prenet_dropout: width of each prenet layer; probability of a zero after each.
        prenet_dropout_at_inference: keep it on when speaking.
        postnet_dim, postnet_convolutions, postnet_kernel_size, postnet_dropout: of the postnet; 0 convolutions is none.
        reduction_factor: frames a decoder step emits; the last of them feeds the next step.
        mask_convolutions: keep padding out of the convolutions, so that an item sounds the same in any batch. The
            original lets padding leak.
        attention_window: symbols (before, after) its last peak that the attention may look at when speaking.
        stop_threshold: probability from which a frame is the last.
        max_frames: the longest utterance, in frames.
        max_frames_per_symbol: a second cap that grows with the text; 0 is none.
    """

    n_symbols: int = 148
    n_mels: int = 80
    embedding_dim: int = 512
    encoder_dim: int = 512
    encoder_convolutions: int = 3
    encoder_kernel_size: int = 5
    encoder_dropout: float = 0.5
    n_speakers: int = 0
    speaker_dim: int = 64
    attention_dim: int = 128
    location_filters: int = 32
    location_kernel_size: int = 31
    attention_rnn_dim: int = 1024
    decoder_rnn_dim: int = 1024
    attention_dropout: float = 0.1
    decoder_dropout: float = 0.1
    prenet_dims: tuple[int, ...] = (256, 256)
    prenet_dropout: float = 0.5
    prenet_dropout_at_inference: bool = True
    postnet_dim: int = 512
    postnet_convolutions: int = 5
    postnet_kernel_size: int = 5
    postnet_dropout: float = 0.5
    reduction_factor: int = 1
    mask_convolutions: bool = False
    attention_window: tuple[int, int] | None = None
    stop_threshold: float = 0.5
    max_frames: int = 1000
    max_frames_per_symbol: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes that no Tacotron 2 has."""
        for name in ("encoder_kernel_size", "postnet_kernel_size", "location_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigurationError(f"Tacotron2Config.{name} is {getattr(self, name)}; give an odd number.")
        if self.encoder_dim % 2:
            raise ConfigurationError(f"Tacotron2Config.encoder_dim is {self.encoder_dim}; give an even number.")
        if self.reduction_factor < 1 or not self.prenet_dims:
            raise ConfigurationError("Tacotron2Config: reduction_factor and the number of prenet_dims are at least 1.")


class AcousticOutput(NamedTuple):
    """What teacher forcing gives, with U = ceil(T / r) decoder steps.

    Fields: mel_before and mel_after the postnet (B, M, T), 0 beyond each length; stop_logits (B, T), 1000 beyond each
    length; alignment (B, U, S), not masked in time; step_lengths (B,) decoder steps of each item.
    """

    mel_before: Tensor
    mel_after: Tensor
    stop_logits: Tensor
    alignment: Tensor
    step_lengths: Tensor


class AcousticUtterance(NamedTuple):
    """What free running gives.

    Fields: as in `AcousticOutput`, T being the longest of the batch; mel_lengths (B,) frames, the last one included;
    stopped (B,) false where the length cap cut the utterance off.
    """

    mel_before: Tensor
    mel_after: Tensor
    stop_logits: Tensor
    alignment: Tensor
    mel_lengths: Tensor
    stopped: Tensor


class Tacotron2(nn.Module):
    """Symbols of any vocabulary (characters, phones, units) to mel frames.

    Source: Shen et al. 2018, "Natural TTS Synthesis by Conditioning WaveNet on Mel Spectrogram Predictions".
    Proof: tests/parity/test_tacotron2.py.
    """

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = SymbolEncoder(
            config.n_symbols,
            config.embedding_dim,
            config.encoder_dim,
            config.encoder_convolutions,
            config.encoder_kernel_size,
            config.encoder_dropout,
        )
        self.speakers = nn.Embedding(config.n_speakers, config.speaker_dim) if config.n_speakers else None
        memory_dim = config.encoder_dim + (config.speaker_dim if config.n_speakers else 0)
        self.decoder = _build_decoder(config, memory_dim)
        self.refiner = Postnet(
            config.n_mels,
            config.postnet_dim,
            config.postnet_convolutions,
            config.postnet_kernel_size,
            config.postnet_dropout,
        )

    def forward(
        self,
        ids: Tensor,
        id_lengths: Tensor,
        mel: Tensor,
        mel_lengths: Tensor,
        speakers: Tensor | None = None,
        prenet_masks: Sequence[Tensor] | None = None,
    ) -> AcousticOutput:
        """Predict each frame of `mel` from the true frames before it (teacher forcing).

        Args:
            ids: (B, S) symbols, right-padded.
            id_lengths: (B,) valid symbols, in any order.
            mel: (B, M, T) true natural-log mel, right-padded.
            mel_lengths: (B,) valid frames.
            speakers: (B,) ids of the voices, where the model has several.
            prenet_masks: one (≥ U, B, size) per prenet layer, instead of random dropout.
        """
        mask_convolutions = self.config.mask_convolutions
        memory = self._encode(ids, id_lengths, speakers, mask_convolutions)
        r, n_frames = self.config.reduction_factor, mel.shape[2]
        n_steps = math.ceil(n_frames / r)
        # The last frame of each step but the last, after a first frame of zeros.
        frames = torch.cat((mel.new_zeros(1, *mel.shape[:2]), mel[:, :, r - 1 :: r].permute(2, 0, 1)))[:n_steps]
        if prenet_masks is not None:
            prenet_masks = [mask[:n_steps] for mask in prenet_masks]
        before, stop_logits, alignment = self.decoder(frames, memory, prenet_masks)
        mel_mask = valid_mask(mel_lengths, n_frames)
        # Under autocast the products are of lower precision; what the loss compares is not.
        before, stop_logits = before[:, :, :n_frames].to(mel.dtype), stop_logits[:, :n_frames].to(mel.dtype)
        after = before + self.refiner(before, mel_mask[:, None] if mask_convolutions else None)
        return AcousticOutput(
            before.masked_fill(~mel_mask[:, None], 0.0),
            after.masked_fill(~mel_mask[:, None], 0.0),
            stop_logits.masked_fill(~mel_mask, PADDED_STOP_LOGIT),
            alignment,
            (mel_lengths + r - 1) // r,
        )

    def begin(
        self, ids: Tensor, id_lengths: Tensor | None = None, speakers: Tensor | None = None
    ) -> tuple[DecoderMemory, DecoderState]:
        """Encode `ids` (B, S), of which `id_lengths` (B,) are valid (None: all), for `step`.

        Padding never reaches the convolutions here: an utterance is the same alone and in a batch.
        """
        memory = self._encode(ids, id_lengths, speakers, mask_convolutions=id_lengths is not None)
        return memory, self.decoder.begin(memory)

    def step(
        self, frame: Tensor, prenet_masks: Sequence[Tensor] | None, memory: DecoderMemory, state: DecoderState
    ) -> DecoderStep:
        """The next r frames after `frame` (B, M); zeros are the frame before the first.

        `prenet_masks`, one (B, size) per prenet layer with values 0 or 1 / (1 - dropout), replace random dropout.
        """
        return self.decoder.step(frame, prenet_masks, memory, state)

    def postnet(self, mel: Tensor, mel_lengths: Tensor | None = None) -> Tensor:
        """The refined mel (B, M, T) of `mel`; frames beyond `mel_lengths` (B,) neither count nor sound (0)."""
        if mel_lengths is None:
            return mel + self.refiner(mel)
        mask = valid_mask(mel_lengths, mel.shape[2])[:, None]
        return (mel + self.refiner(mel, mask)).masked_fill(~mask, 0.0)

    @torch.no_grad()
    def infer(
        self,
        ids: Tensor,
        id_lengths: Tensor | None = None,
        speakers: Tensor | None = None,
        prenet_masks: Sequence[Tensor] | None = None,
        max_frames: int | None = None,
        stop_threshold: float | None = None,
    ) -> AcousticUtterance:
        """Speak `ids` (B, S), each item until its stop or the cap.

        Args:
            ids, id_lengths, speakers: as in `begin`.
            prenet_masks: one (≥ U, B, size) per prenet layer; None draws them if dropout is on at inference.
            max_frames: the cap for every item; None takes both caps of the configuration.
            stop_threshold: None takes that of the configuration.
        """
        memory, state = self.begin(ids, id_lengths, speakers)
        caps = self._caps(ids, id_lengths, max_frames)
        threshold = self.config.stop_threshold if stop_threshold is None else stop_threshold
        frame = ids.new_zeros(ids.shape[0], self.config.n_mels, dtype=memory.encoded.dtype)
        lengths, stopped = caps.clone(), torch.zeros_like(caps, dtype=torch.bool)
        steps: list[DecoderStep] = []
        r = self.config.reduction_factor
        while len(steps) * r < int(lengths.max()):
            masks = None if prenet_masks is None else [mask[len(steps)] for mask in prenet_masks]
            step = self.step(frame, masks, memory, state)
            frame, state = step.frames[:, :, -1], step.state
            ends = torch.sigmoid(step.stop_logits) > threshold
            end = len(steps) * r + ends.long().argmax(dim=1) + 1
            ending = ends.any(dim=1) & (end <= lengths)
            lengths, stopped = torch.where(ending & ~stopped, end, lengths), stopped | ending
            steps.append(step)
        return self._finish(steps, lengths, stopped)

    def _encode(
        self, ids: Tensor, id_lengths: Tensor | None, speakers: Tensor | None, mask_convolutions: bool
    ) -> DecoderMemory:
        assert (speakers is None) == (self.speakers is None), "give speakers exactly where the model has several"
        lengths = ids.new_full((ids.shape[0],), ids.shape[1]) if id_lengths is None else id_lengths
        mask = valid_mask(lengths, ids.shape[1])
        encoded = self.encoder(ids, id_lengths, mask if mask_convolutions else None)
        if self.speakers is not None:
            voice = self.speakers(speakers)[:, None].expand(-1, ids.shape[1], -1)
            encoded = torch.cat((encoded, voice.to(encoded.dtype)), dim=2)
        return self.decoder.remember(encoded, mask)

    def _caps(self, ids: Tensor, id_lengths: Tensor | None, max_frames: int | None) -> Tensor:
        """(B,) the most frames each item may have, at least 1."""
        n_symbols = ids.new_full((ids.shape[0],), ids.shape[1]) if id_lengths is None else id_lengths
        caps = torch.full_like(n_symbols, self.config.max_frames if max_frames is None else max_frames)
        if max_frames is None and self.config.max_frames_per_symbol:
            caps = caps.minimum((n_symbols * self.config.max_frames_per_symbol).ceil().to(caps.dtype))
        return caps.clamp(min=1)

    def _finish(self, steps: list[DecoderStep], lengths: Tensor, stopped: Tensor) -> AcousticUtterance:
        """Join `steps`, cut what was made beyond `lengths` (B,), and refine."""
        n_frames = int(lengths.max())
        mask = valid_mask(lengths, n_frames)
        before = torch.cat([step.frames for step in steps], dim=2)[:, :, :n_frames].masked_fill(~mask[:, None], 0.0)
        stop_logits = torch.cat([step.stop_logits for step in steps], dim=1)[:, :n_frames]
        return AcousticUtterance(
            before,
            self.postnet(before, lengths),
            stop_logits.masked_fill(~mask, PADDED_STOP_LOGIT),
            torch.stack([step.alignment for step in steps], dim=1),
            lengths,
            stopped,
        )


def _build_decoder(config: Tacotron2Config, memory_dim: int) -> Decoder:
    prenet = Prenet(config.n_mels, config.prenet_dims, config.prenet_dropout, config.prenet_dropout_at_inference)
    attention = LocationAttention(
        config.attention_rnn_dim,
        memory_dim,
        config.attention_dim,
        config.location_filters,
        config.location_kernel_size,
    )
    return Decoder(
        prenet,
        attention,
        config.prenet_dims[-1],
        memory_dim,
        config.attention_rnn_dim,
        config.decoder_rnn_dim,
        config.n_mels,
        config.reduction_factor,
        config.attention_dropout,
        config.decoder_dropout,
        config.attention_window,
    )

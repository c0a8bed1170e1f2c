"""All frames of an utterance at once: symbols, how long each lasts, perhaps the pitch of every frame, the mel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.durations import PLACE_FEATURES, place_frames, whole_durations
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.models.acoustic.excitation import Excitation
from optophone.models.conv_next import ConvNeXtLayer


@dataclass(frozen=True)
class ParallelConfig:
    """Sizes of a `ParallelAcoustic`.

    Args:
        n_symbols: size of the vocabulary.
        n_speakers: voices; 0 is one.
        prosody: whether pitch and voicing are found and drawn in; off where symbols tell all but the pitch, as units.
        dim, hidden_dim: features of a symbol or frame between and inside layers.
        n_symbol_layers, n_pitch_layers, n_frame_layers: ConvNeXt layers over symbols, over frames to find the pitch,
            and over frames to find the mel.
        n_duration_layers: over symbols to find how long they last.
        symbol_kernel_size, frame_kernel_size: what a layer sees, odd.
        dropout: on what each layer adds.
    """

    n_symbols: int = 148
    n_speakers: int = 0
    prosody: bool = True
    dim: int = 256
    hidden_dim: int = 768
    n_symbol_layers: int = 4
    n_duration_layers: int = 2
    n_pitch_layers: int = 3
    n_frame_layers: int = 6
    symbol_kernel_size: int = 5
    frame_kernel_size: int = 7
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        for name in ("symbol_kernel_size", "frame_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigurationError(f"ParallelConfig.{name} is {getattr(self, name)}; give an odd number.")

    @property
    def frame_context(self) -> int:
        """Frames to either side that a frame of the mel depends on, once its symbols are encoded."""
        n_layers = self.n_frame_layers + (self.n_pitch_layers if self.prosody else 0)
        return n_layers * (self.frame_kernel_size // 2)


class Frames(NamedTuple):
    """The places of frames, see `core.durations.Places`: symbols (B, T) int64, features (B, T, 3), mask (B, T) true at
    valid frames."""

    symbols: Tensor
    features: Tensor
    mask: Tensor


class Prosody(NamedTuple):
    """How frames are voiced: pitch (B, T) scaled as by `excitation.scale_pitch`; voiced (B, T), 0 to 1."""

    pitch: Tensor
    voiced: Tensor


class FoundProsody(NamedTuple):
    """Prosody as a network finds it: pitch (B, T) scaled; voiced_logits (B, T)."""

    pitch: Tensor
    voiced_logits: Tensor

    def decided(self) -> Prosody:
        """Every frame voiced or not."""
        return Prosody(self.pitch, (self.voiced_logits > 0).float())


class ParallelOutput(NamedTuple):
    """What training compares, with the true durations and the true prosody given.

    Fields: mel (B, M, T), 0 beyond each length; log_durations (B, S) of 1 + frames; prosody, or None where the model
    finds none.
    """

    mel: Tensor
    log_durations: Tensor
    prosody: FoundProsody | None


class ParallelAcoustic(nn.Module):
    """Symbols of any vocabulary to mel frames without recurrence and without attention.

    Durations and pitch are found first and the rest follows from them, so that nothing that people say now one way, now
    another is left to be averaged in the mel: harmonics stay sharp. They are drawn in from a table of pulse trains.

    Units of speech say all of how a thing is said but for the pitch, and how long they last is known; over them the
    model does without prosody and is a vocoder's first half.

    Source: Ren et al. 2021, "FastSpeech 2", section 2, and Łańcucki 2021, "FastPitch", section 2, with the layers of
    `ConvNeXtLayer` and pitches of frames, and with the excitation, which is ours. Over units: Polyak et al. 2021,
    "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations", section 3, with the durations of
    Lee et al. 2022, "Direct Speech-to-Speech Translation With Discrete Units", section 3.3; to a mel, not a wave.
    """

    def __init__(self, config: ParallelConfig, spec: MelSpec) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embedding = nn.Embedding(config.n_symbols, dim)
        self.speakers = nn.Embedding(config.n_speakers, dim) if config.n_speakers else None
        self.symbol_layers = self._layers(config.n_symbol_layers, config.symbol_kernel_size)
        self.symbol_norm = nn.LayerNorm(dim)
        self.duration_layers = self._layers(config.n_duration_layers, config.symbol_kernel_size)
        self.duration = nn.Linear(dim, 1)
        self.place = nn.Linear(PLACE_FEATURES, dim)
        if config.prosody:
            self.pitch_layers = self._layers(config.n_pitch_layers, config.frame_kernel_size)
            self.pitch = nn.Linear(dim, 2)
            self.excitation = Excitation(spec)
            self.shown_pitch = nn.Linear(spec.n_mels + 2, dim)
        self.frame_layers = self._layers(config.n_frame_layers, config.frame_kernel_size)
        self.frame_norm = nn.LayerNorm(dim)
        self.mel = nn.Linear(dim, (2 if config.prosody else 1) * spec.n_mels)

    def _layers(self, n: int, kernel_size: int) -> nn.ModuleList:
        config = self.config
        return nn.ModuleList(
            ConvNeXtLayer(config.dim, config.hidden_dim, kernel_size, 1 / n, config.dropout) for _ in range(n)
        )

    def forward(
        self,
        ids: Tensor,
        ids_mask: Tensor,
        frames: Frames,
        prosody: Prosody | None = None,
        speakers: Tensor | None = None,
    ) -> ParallelOutput:
        """The mel of known durations and known prosody, and what the network would have made these.

        Args:
            ids: (B, S) symbols, right-padded.
            ids_mask: (B, S) true at valid symbols.
            frames: places that follow from the durations.
            prosody: the true one, for a model that draws it in.
            speakers: (B,) where there are several.
        """
        encoded, log_durations = self.encode(ids, ids_mask, speakers)
        laid_out = self.lay_out(encoded, frames)
        found = self.find_prosody(laid_out, frames.mask)
        mel = self.draw(laid_out, prosody, frames.mask)
        return ParallelOutput(mel, log_durations, found)

    def encode(self, ids: Tensor, ids_mask: Tensor | None, speakers: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Symbols with what is around them (B, S, D), and ln(1 + frames) (B, S); `ids_mask` None: all are valid."""
        return self.encode_embedded(self.embedding(ids), ids_mask, speakers)

    def encode_embedded(
        self, x: Tensor, ids_mask: Tensor | None, speakers: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What `encode` gives of symbols whose rows of the embedding, or mixtures of rows, are x (B, S, D)."""
        assert (speakers is None) == (self.speakers is None), "give speakers exactly where the model has several"
        if self.speakers is not None:
            x = x + self.speakers(speakers)[:, None]
        for layer in self.symbol_layers:
            x = layer(x, ids_mask)
        x = self.symbol_norm(x)
        lasting = x.detach()  # what symbols are is for the mel to say
        for layer in self.duration_layers:
            lasting = layer(lasting, ids_mask)
        return x, self.duration(lasting)[:, :, 0].float()

    def lay_out(self, encoded: Tensor, frames: Frames) -> Tensor:
        """The symbol of every frame with the frame's place in it, (B, T, D)."""
        symbols = frames.symbols[:, :, None].expand(-1, -1, encoded.shape[2])
        return encoded.gather(1, symbols) + self.place(frames.features)

    def find_prosody(self, laid_out: Tensor, mask: Tensor | None) -> FoundProsody | None:
        """How frames should be voiced; None in a model without prosody."""
        if not self.config.prosody:
            return None
        x = laid_out
        for layer in self.pitch_layers:
            x = layer(x, mask)
        pitch, voiced_logits = self.pitch(x).float().unbind(2)
        return FoundProsody(pitch, voiced_logits)

    def draw(self, laid_out: Tensor, prosody: Prosody | None, mask: Tensor | None) -> Tensor:
        """The mel (B, M, T) of frames with their prosody; 0 where `mask` is false."""
        x, harmonics = laid_out, None
        if self.config.prosody:
            assert prosody is not None, "give the prosody that the model draws in"
            voiced = prosody.voiced[:, :, None]
            harmonics = self.excitation(prosody.pitch) * voiced
            shown = torch.cat((harmonics, prosody.pitch[:, :, None] * voiced, voiced), dim=2)
            x = laid_out + self.shown_pitch(shown)
        for layer in self.frame_layers:
            x = layer(x, mask)
        mel = self.mel(self.frame_norm(x)).float()
        if harmonics is not None:
            shape, depth = mel.chunk(2, dim=2)
            mel = shape + depth * harmonics
        mel = mel.transpose(1, 2)
        return mel if mask is None else mel.masked_fill(~mask[:, None], 0.0)

    def speak(self, laid_out: Tensor) -> Tensor:
        """The mel (B, M, T) of frames, all valid, with the prosody that the model finds for them."""
        found = self.find_prosody(laid_out, None)
        return self.draw(laid_out, None if found is None else found.decided(), None)

    @torch.no_grad()
    def infer(self, ids: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, np.ndarray]:
        """Speak `ids` (S,), S > 0, in the voice `speaker` (1,): mel (M, T), and whole frames of each symbol (S,)."""
        encoded, log_durations = self.encode(ids[None], None, speaker)
        durations = whole_durations(np.expm1(log_durations[0].cpu().numpy()))
        laid_out = self.lay_out(encoded, frames_of([durations], ids.device))
        return self.speak(laid_out)[0], durations


def frames_of(durations: Sequence[np.ndarray], device: torch.device | None = None) -> Frames:
    """The frames of utterances whose symbols last `durations` (S,) whole frames each, right-padded."""
    places = [place_frames(one) for one in durations]
    lengths = torch.tensor([len(one.symbols) for one in places])
    pad = torch.nn.utils.rnn.pad_sequence
    symbols = pad([torch.from_numpy(one.symbols) for one in places], batch_first=True)
    features = pad([torch.from_numpy(one.features) for one in places], batch_first=True)
    mask = torch.arange(symbols.shape[1])[None] < lengths[:, None]
    return Frames(symbols.to(device), features.to(device), mask.to(device))

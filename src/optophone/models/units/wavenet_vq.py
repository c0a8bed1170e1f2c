"""WaveNet-VQ: units of speech, learned from speech alone, by having to say it again from them."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from optophone.core.errors import ConfigurationError
from optophone.models.units.jitter import TemporalJitter
from optophone.models.units.quantizer import Quantizer, QuantizerConfig
from optophone.models.units.strided_encoder import StridedEncoder, StridedEncoderConfig
from optophone.models.units.wavenet import WaveNet, WaveNetConfig

SOMEBODY = -1  # a speaker that the network does not know: the mean of those that it knows


@dataclass(frozen=True)
class WaveNetVQConfig:
    """A whole `WaveNetVQ`; the defaults are those of the paper at 25 units a second, but for `n_codes`.

    Args:
        encoder: frames → vectors, and how many frames are a unit.
        n_codes: K. The paper allows up to 2^14; 512 is what public relatives of it use.
        dim: D, features of a code.
        quantizer: how the codebook learns.
        jitter: probability that a unit is replaced by either neighbour, in training.
        n_mixed: channels of the convolution over three units that follows.
        n_speakers: voices that are told apart.
        speaker_dim: features of a voice.
        decoder: units → wave.
        samples_per_frame: samples from one frame of the encoder to the next.
    """

    encoder: StridedEncoderConfig = field(default_factory=StridedEncoderConfig)
    n_codes: int = 512
    dim: int = 64
    quantizer: QuantizerConfig = field(default_factory=lambda: QuantizerConfig(commitment=0.25))
    jitter: float = 0.12
    n_mixed: int = 128
    n_speakers: int = 1
    speaker_dim: int = 32
    decoder: WaveNetConfig = field(default_factory=WaveNetConfig)
    samples_per_frame: int = 160

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        for name in ("n_codes", "dim", "n_mixed", "n_speakers", "speaker_dim", "samples_per_frame"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"wavenet-vq: {name} is {getattr(self, name)}; give at least 1.")
        if not 0 <= self.jitter <= 0.5:
            raise ConfigurationError(f"wavenet-vq: jitter is {self.jitter}; give a probability from 0 to 0.5.")

    @property
    def samples_per_unit(self) -> int:
        """Samples that a unit lasts."""
        return self.encoder.frames_per_unit * self.samples_per_frame

    @property
    def context_units(self) -> int:
        """Units on either side that a segment's frames must reach beyond it, for all to be as in the whole utterance.

        One more than the encoder's reach, since the decoder looks at neighbouring units.
        """
        return self.encoder.reach + 1


class Encoded(NamedTuple):
    """What the encoder makes of a batch.

    Fields: frames (B, D, S) before the quantizer; codes (B, D, S) after it, through which gradients pass unchanged in
    training; units (B, S) int64; losses (B, D, S) of commitment; mask (B, S) true at whole units, None for all.
    """

    frames: Tensor
    codes: Tensor
    units: Tensor
    losses: Tensor
    mask: Tensor | None


class WaveNetVQOutput(NamedTuple):
    """What training and validation read off a batch of segments of U units and N samples.

    Fields: outputs (B, O, N) of the decoder; log_probs (B, N) natural logarithms of the probabilities of the samples;
    samples_mask (B, N) true at samples of whole units; frames (V, D) and units (V,) of the V valid units inside the
    segments; commitment, the mean of their losses.
    """

    outputs: Tensor
    log_probs: Tensor
    samples_mask: Tensor
    frames: Tensor
    units: Tensor
    commitment: Tensor


class WaveNetVQLosses(NamedTuple):
    """Scalars: reconstruction, nats per sample; commitment; total, their sum, which training minimizes."""

    reconstruction: Tensor
    commitment: Tensor
    total: Tensor


class WaveNetVQ(nn.Module):
    """Speech → units → the same speech in the voice of a given speaker.

    A step of training: ``output = model(levels, frames_mask, wave, speakers)``, ``losses = model.losses(output)``,
    ``model.update_codebook(output)``, ``losses.total.backward()``.

    Source: Chorowski et al. 2019, "Unsupervised speech representation learning using WaveNet autoencoders", figure 1;
    as a source of units for pictures, Hsu et al. 2020, "Text-Free Image-to-Speech Synthesis Using Learned Segmental
    Units". Proof: tests/contract/test_wavenet.py, tests/contract/test_unit_encoders.py
    """

    def __init__(self, config: WaveNetVQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = StridedEncoder(config.encoder, config.dim)
        self.quantizer = Quantizer(config.n_codes, config.dim, config.quantizer)
        self.jitter = TemporalJitter(config.jitter)
        self.neighbours = nn.Conv1d(config.dim, config.n_mixed, 3, padding=1)
        self.speakers = nn.Embedding(config.n_speakers, config.speaker_dim)
        self.decoder = WaveNet(config.decoder, config.n_mixed + config.speaker_dim, config.samples_per_unit)

    def encode(self, levels: Tensor, mask: Tensor | None = None) -> Encoded:
        """Units of a batch. The codebook does not move, see `update_codebook`.

        Args:
            levels: (B, M, T) decibels of `core.unit_filter_bank`, T at least `frames_per_unit`.
            mask: (B, T) true at valid frames, see `StridedEncoder.forward`. Valid units do not depend on the others.
        """
        frames, mask = self.encoder(levels, mask)
        rows = frames.transpose(1, 2)
        found = self.quantizer(rows.flatten(0, 1))
        codes, losses = (x.view_as(rows).transpose(1, 2) for x in (found.frames, found.losses))
        return Encoded(frames, codes, found.units.view(rows.shape[:2]), losses, mask)

    def conditions(self, codes: Tensor, mask: Tensor | None, speakers: Tensor) -> Tensor:
        """What the decoder is told, (B, K, S).

        Args:
            codes: (B, D, S).
            mask: (B, S) true at valid units, None for all.
            speakers: (B,) int64, `SOMEBODY` for one that is not known.
        """
        mixed = self.neighbours(codes if mask is None else torch.where(mask[:, None], codes, 0.0))
        known = self.speakers.weight
        voices = torch.cat((known, known.mean(0, keepdim=True)))[speakers]  # -1 is the last
        return torch.cat((mixed, voices[:, :, None].to(mixed.dtype).expand(-1, -1, mixed.shape[2])), dim=1)

    def forward(
        self,
        levels: Tensor,
        frames_mask: Tensor | None,
        wave: Tensor,
        speakers: Tensor,
        jitter_draws: Tensor | None = None,
    ) -> WaveNetVQOutput:
        """How well segments are said again.

        Args:
            levels: (B, M, T) of the segments and as many units of context before as after them.
            frames_mask: (B, T) true inside the utterance, None for everywhere.
            wave: (B, N) samples of the segments alone, N = U · `samples_per_unit`.
            speakers: (B,) int64, `SOMEBODY` for one that is not known.
            jitter_draws: (S,) instead of random ones, see `TemporalJitter`.
        """
        encoded = self.encode(levels, frames_mask)
        n_units = wave.shape[1] // self.config.samples_per_unit
        context = (encoded.units.shape[1] - n_units) // 2
        assert encoded.units.shape[1] == n_units + 2 * context, "as many units of context after as before"
        inside = slice(context, context + n_units)
        mask = torch.ones_like(encoded.units, dtype=torch.bool) if encoded.mask is None else encoded.mask
        told = self.conditions(self.jitter(encoded.codes, jitter_draws), encoded.mask, speakers)[:, :, inside]
        outputs = self.decoder(wave, told)
        valid = mask[:, inside]
        losses = encoded.losses.transpose(1, 2)[:, inside][valid]
        return WaveNetVQOutput(
            outputs,
            self.decoder.samples.log_prob(outputs, wave),
            valid.repeat_interleave(self.config.samples_per_unit, dim=1),
            encoded.frames.transpose(1, 2)[:, inside][valid],
            encoded.units[:, inside][valid],
            losses.mean() if len(losses) else losses.sum(),
        )

    def losses(self, output: WaveNetVQOutput) -> WaveNetVQLosses:
        """What training minimizes.

        Source: van den Oord et al. 2017, "Neural Discrete Representation Learning", equation 3; its middle term is the
        codebook's moving average.
        """
        mask = output.samples_mask
        reconstruction = -torch.where(mask, output.log_probs, 0.0).sum() / mask.sum().clamp(min=1)
        return WaveNetVQLosses(reconstruction, output.commitment, reconstruction + output.commitment)

    def update_codebook(self, output: WaveNetVQOutput) -> None:
        """Move the codes towards the frames of `output`; the losses of it stay those of the old codes."""
        self.quantizer.update(output.frames, output.units)

    def units(self, levels: Tensor) -> Tensor:
        """Units (S,) int64 of one utterance, `levels` (M, T); S = T // `frames_per_unit`, at least 1."""
        return self.units_of([levels])[0]

    @torch.no_grad()
    def units_of(self, utterances: list[Tensor]) -> list[Tensor]:
        """Units (S,) of each of `utterances` (M, T), worked out together: but for rounding, those of each alone.

        Call it in evaluation mode. What is shorter than a unit ends in silence.
        """
        assert not self.training, "units are those of evaluation"
        frames_per_unit, silence = self.config.encoder.frames_per_unit, -self.config.encoder.range_db
        n_frames = [max(levels.shape[1], frames_per_unit) for levels in utterances]
        longest = max(n_frames)
        padded = [functional.pad(levels, (0, longest - levels.shape[1]), value=silence) for levels in utterances]
        lengths = torch.tensor(n_frames, device=padded[0].device)
        mask = torch.arange(longest, device=lengths.device) < lengths[:, None]
        units = self.encode(torch.stack(padded), mask if len(utterances) > 1 else None).units
        return [row[: n // frames_per_unit] for row, n in zip(units, n_frames, strict=True)]

    @torch.no_grad()
    def conditions_of(self, units: Tensor, mask: Tensor | None, speakers: Tensor) -> Tensor:
        """What `FastWaveNet` is told, (B, K, S), to say `units` (B, S) int64; see `conditions`. In evaluation mode."""
        with torch.autocast(units.device.type, enabled=False):
            return self.conditions(self.quantizer.codes[units].transpose(1, 2), mask, speakers)

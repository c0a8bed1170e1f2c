"""WaveGlow for inference on processors: the same numbers in less than half the time, whole or as a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.noise import GivenNoise, Noise, SeededNoise
from optophone.models.vocoders.folded_flow import FlowStream, fold_flow
from optophone.models.vocoders.wave_conditions import ConditionStream, build_conditions
from optophone.models.vocoders.waveglow import WaveGlow


@dataclass(frozen=True)
class FastWaveGlowConfig:
    """How to draw, and in which portions to compute.

    Args:
        sigma: standard deviation of the noise; .6 to .9 sound best.
        seed: of the noise.
        block_frames: frames that go through a whole wave's flows together; what they need fits the processor's cache.
        stream_frames: the smallest portion of a stream; every portion passes through all weights once.
        fold_conditions: fold the upsampling into the conditions: fewer products, far more weights.
    """

    sigma: float = 0.666
    seed: int = 0
    block_frames: int = 128
    stream_frames: int = 32
    fold_conditions: bool = False

    def __post_init__(self) -> None:
        for name in ("block_frames", "stream_frames"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"waveglow: {name} is {getattr(self, name)}; it must be at least 1")
        if self.sigma < 0:
            raise ConfigurationError(f"waveglow: sigma is {self.sigma}; it must not be negative")


class FastWaveGlow:
    """Mel → wave (a `Vocoder`) with the weights of a `WaveGlow`. Holds constants only, so threads may share one.

    Every convolution keeps the steps that its next portion will see, so a stream repeats no work and its portions
    together are the whole wave; what is settled lags behind by the reach of all convolutions, 96 frames in the public
    sizes.

    Args:
        model: a trained WaveGlow; its weights are copied.
        spec: layout of the mels.
        config: noise and portions.

    Source: Prenger et al. 2019. Proof: tests/parity/test_waveglow.py.
    """

    name = "waveglow"

    def __init__(self, model: WaveGlow, spec: MelSpec | None = None, config: FastWaveGlowConfig | None = None) -> None:
        self.mel_spec = spec or MelSpec(n_mels=model.config.n_mels, hop_length=model.config.hop_length)
        self.config = config or FastWaveGlowConfig()
        sizes = model.config
        if (self.mel_spec.n_mels, self.mel_spec.hop_length) != (sizes.n_mels, sizes.hop_length):
            raise ConfigurationError(
                f"waveglow: the mel has {self.mel_spec.n_mels} bands every {self.mel_spec.hop_length} samples, the "
                f"network wants {sizes.n_mels} every {sizes.hop_length}."
            )
        folded = [fold_flow(model, k) for k in range(sizes.n_flows)]
        self.early_flows = sizes.early_flows
        self.noise_sizes = (sizes.n_remaining, *[sizes.early_size] * len(sizes.early_flows))
        self.flows = [flow for flow, _ in folded]
        self.conditions = build_conditions(model, [layers for _, layers in folded], self.config.fold_conditions)

    def wave(self, mel: np.ndarray) -> np.ndarray:
        """The wave of a whole utterance.

        Args:
            mel: (M, T) natural-log magnitude, laid out by `mel_spec`.

        Returns:
            (T * hop_length,) float32 in -1..1, less an incomplete last group; the same for the same mel.

        Raises:
            AudioError: another number of bands, or values that are no numbers.
        """
        return _limit(self._run(mel, self._seeded()))

    def infer(self, mel: np.ndarray, noise: Sequence[np.ndarray]) -> np.ndarray:
        """The wave (N,) of `mel` (M, T), not limited, from given standard normal noise as `WaveGlow.infer` takes it.

        Args:
            mel: as for `wave`.
            noise: (n_remaining, N // n_group), then (early_size, N // n_group) for each early output.
        """
        return self._run(mel, GivenNoise(self.config.sigma, noise))

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The wave in portions, each as soon as it is settled.

        Args:
            mels: chunks (M, t) of any size, also empty ones.

        Yields:
            (n,) float32, n > 0; joined they are `wave` of the joined mel, but for rounding.

        Raises:
            AudioError: another number of bands, or values that are no numbers.
        """
        utterance = _Utterance(self, self._seeded())
        waiting = self._frames(np.zeros((self.mel_spec.n_mels, 0)))
        for mel in mels:
            waiting = np.concatenate((waiting, self._frames(mel)))
            if len(waiting) >= self.config.stream_frames:
                for start in range(0, len(waiting), self.config.block_frames):
                    wave = utterance.push(waiting[start : start + self.config.block_frames], last=False)
                    if len(wave):
                        yield _limit(wave)
                waiting = waiting[:0]
        wave = utterance.push(waiting, last=True)
        if len(wave):
            yield _limit(wave)

    def _seeded(self) -> SeededNoise:
        return SeededNoise(self.config.sigma, self.config.seed, self.noise_sizes)

    def _run(self, mel: np.ndarray, noise: Noise) -> np.ndarray:
        frames, block = self._frames(mel), self.config.block_frames
        utterance = _Utterance(self, noise)
        starts = range(0, max(len(frames), 1), block)
        return np.concatenate([utterance.push(frames[i : i + block], last=i + block >= len(frames)) for i in starts])

    def _frames(self, mel: np.ndarray) -> np.ndarray:
        """A mel (M, t) as frames (t, M), checked."""
        mel = np.asarray(mel, dtype=np.float32)
        if mel.ndim != 2 or mel.shape[0] != self.mel_spec.n_mels:
            raise AudioError(f"a mel of {self.mel_spec.n_mels} bands was expected, but its shape is {mel.shape}")
        if not np.isfinite(mel).all():
            raise AudioError("the mel holds values that are no numbers (NaN or infinity): check the model that made it")
        return np.ascontiguousarray(mel.T)


def _limit(wave: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(wave, copy=False), -1.0, 1.0)


class _Utterance:
    """One utterance on its way from noise to samples."""

    def __init__(self, vocoder: FastWaveGlow, noise: Noise) -> None:
        self.noise = noise
        self.early_flows = vocoder.early_flows
        self.conditions = ConditionStream(vocoder.conditions)
        self.streams = [FlowStream(flow) for flow in reversed(vocoder.flows)]
        self.n_begun = 0  # steps

    @torch.inference_mode()
    def push(self, frames: np.ndarray, last: bool) -> np.ndarray:
        """Further `frames` (t, M), the final ones if `last`; returns the samples (n,) that are settled now."""
        self.conditions.push(torch.from_numpy(frames))
        n_steps = self.conditions.n_steps
        x = self._draw(0, n_steps - self.n_begun)
        self.n_begun = n_steps
        index = 0
        for stream in self.streams:
            x = stream.push(x, self.conditions, last)
            if stream.flow.index in self.early_flows:
                index += 1
                x = torch.cat((self._draw(index, len(x)), x), dim=1)
        self.conditions.forget(self.streams[-1].n_done[-1])
        return x.reshape(-1).numpy()

    def _draw(self, index: int, n_steps: int) -> torch.Tensor:
        return torch.from_numpy(self.noise.draw(index, n_steps))

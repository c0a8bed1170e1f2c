"""Spectrograms of one voice that sound like other voices, rooms and microphones."""

from dataclasses import dataclass

import numpy as np

from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, band_centres


@dataclass(frozen=True)
class MelAugmentationConfig:
    """How much spectrograms are changed; every number is drawn anew for every utterance.

    Args:
        speed: time is stretched or pressed by up to this share (Ko et al. 2015, "Audio augmentation for speech
            recognition", with factors of .9 to 1.1).
        pitch: frequencies are multiplied by up to this share more or less, which moves formants and pitch as another
            vocal tract would (Jaitly & Hinton 2013, "Vocal tract length perturbation improves speech recognition").
        level_db: louder or quieter by up to this much.
        tilt_db: the highest band gets up to this much more or less than the lowest, as microphones differ.
        noise: share of the utterances that steady noise is added to.
        noise_db: that is quieter than the loudest frame by a number in this range.
        time_masks, time_mask: so many pieces are silenced, each of up to this share of the utterance and 30 frames.
        band_masks, band_mask: so many bundles of bands are silenced, each of up to this many bands (Park et al. 2019,
            "SpecAugment: A simple data augmentation method for automatic speech recognition", section 2).
    """

    speed: float = 0.15
    pitch: float = 0.15
    level_db: float = 10.0
    tilt_db: float = 10.0
    noise: float = 0.7
    noise_db: tuple[float, float] = (15.0, 55.0)
    time_masks: int = 2
    time_mask: float = 0.08
    band_masks: int = 2
    band_mask: int = 12

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name in ("speed", "pitch", "noise", "time_mask"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigurationError(f"augmentation.{name} is {getattr(self, name)}; give 0 or more, under 1.")
        if min(self.level_db, self.tilt_db, self.time_masks, self.band_masks, self.band_mask) < 0:
            raise ConfigurationError("augmentation: levels, masks and their sizes are 0 or more.")
        if self.noise_db[0] > self.noise_db[1]:
            raise ConfigurationError("augmentation.noise_db: give the smaller number first.")


_MOST_MASKED_FRAMES = 30
_NEPERS_PER_DB = np.log(10) / 20


def augment_mel(
    mel: np.ndarray, spec: MelSpec, config: MelAugmentationConfig, random: np.random.Generator, least_frames: int = 1
) -> np.ndarray:
    """`mel` (M, T) as another voice in another room would have said it: (M, T') float32.

    Args:
        mel: natural-log magnitude, laid out by `spec`.
        spec: the layout.
        config: how much is changed.
        random: where the numbers come from.
        least_frames: T' that there must be, where T is no fewer: faster speech than this is not made.
    """
    n_frames = max(round(mel.shape[1] / _factor(config.speed, random)), min(mel.shape[1], least_frames))
    mel = stretch(shift(mel.astype(np.float32), spec, _factor(config.pitch, random)), n_frames)
    tilt = np.linspace(-0.5, 0.5, len(mel)) * random.uniform(-1, 1) * config.tilt_db
    mel = mel + ((tilt + random.uniform(-1, 1) * config.level_db) * _NEPERS_PER_DB)[:, None].astype(np.float32)
    if random.random() < config.noise:
        mel = add_noise(mel, random.uniform(*config.noise_db), random)
    return mask(np.maximum(mel, np.float32(np.log(spec.floor))), config, random)


def stretch(mel: np.ndarray, n_frames: int) -> np.ndarray:
    """`mel` (M, T) in `n_frames` frames, by linear interpolation."""
    return interpolate(mel, np.linspace(0, mel.shape[1] - 1, n_frames), axis=1)


def shift(mel: np.ndarray, spec: MelSpec, factor: float) -> np.ndarray:
    """`mel` (M, T) with all frequencies multiplied by `factor`; beyond its ends the last band goes on."""
    centres = band_centres(spec)
    return interpolate(mel, np.interp(centres / factor, centres, np.arange(len(centres))), axis=0)


def interpolate(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """`values` at fractional `places` along `axis`, float32."""
    lower = np.minimum(places.astype(int), values.shape[axis] - 1)
    upper = np.minimum(lower + 1, values.shape[axis] - 1)
    weight = np.expand_dims((places - lower).astype(np.float32), 1 - axis)
    first, second = values.take(lower, axis), values.take(upper, axis)
    return first + weight * (second - first)


def add_noise(mel: np.ndarray, below_db: float, random: np.random.Generator) -> np.ndarray:
    """Steady noise of a colour by chance, its loudest band `below_db` under the loudest frame of `mel` (M, T).

    A cell of noise has a magnitude after Rayleigh, and powers add up, as those of independent sounds do on average.
    """
    colour = np.interp(np.arange(len(mel)), np.linspace(0, len(mel) - 1, 5), random.uniform(-15, 0, 5))
    quiet = mel.max(axis=1).mean() + (colour - colour.max() - below_db) * _NEPERS_PER_DB
    cells = quiet[:, None] + np.log(random.rayleigh(np.sqrt(0.5), mel.shape) + 1e-3)
    return (0.5 * np.logaddexp(2 * mel, 2 * cells)).astype(np.float32)


def mask(mel: np.ndarray, config: MelAugmentationConfig, random: np.random.Generator) -> np.ndarray:
    """`mel` (M, T) with pieces of time and bundles of bands at the mean of the whole."""
    mel, mean = mel.copy(), mel.mean()
    most_frames = min(_MOST_MASKED_FRAMES, int(config.time_mask * mel.shape[1]))
    for _ in range(config.time_masks):
        size = int(random.integers(0, most_frames + 1))
        start = int(random.integers(0, mel.shape[1] - size + 1))
        mel[:, start : start + size] = mean
    for _ in range(config.band_masks):
        size = int(random.integers(0, min(config.band_mask, len(mel)) + 1))
        start = int(random.integers(0, len(mel) - size + 1))
        mel[start : start + size] = mean
    return mel


def _factor(share: float, random: np.random.Generator) -> float:
    """1 / (1 + share) to 1 + share, evenly on the logarithm."""
    return float(np.exp(random.uniform(-1, 1) * np.log1p(share)))

"""Louder and softer, without the crackle of samples that are cut off."""

import re

import numpy as np

from optophone.core.errors import AudioError

MAX_FACTOR = 100.0
_KNEE = 0.8  # from here on loud samples are bent towards full scale instead of being cut
_DECIBELS = re.compile(r"([+-]?\d+(?:\.\d+)?) ?db", re.IGNORECASE)


def parse_volume(text: str) -> float:
    """The factor that "0.5", "+6dB" or "-3 dB" asks for.

    Raises:
        AudioError: it is no volume, or out of 0..100 (40 dB).
    """
    match = _DECIBELS.fullmatch(text.strip())
    try:
        factor = 10.0 ** (float(match[1]) / 20.0) if match else float(text)
    except (ValueError, OverflowError):
        raise AudioError(f"the volume {text!r} is no number: use a factor, 0.5, or decibels, +6dB") from None
    if not 0.0 <= factor <= MAX_FACTOR:
        raise AudioError(f"the volume {text} is out of range: use 0 to {MAX_FACTOR:g}, or at most +40dB")
    return factor


def change_volume(wave: np.ndarray, factor: float) -> np.ndarray:
    """`factor` times `wave` (n,) float32, never beyond -1..1.

    Where that would be louder than full scale, samples above 0.8 are bent smoothly towards 1. Each sample is changed
    by itself, so that a stream sounds like its whole.
    """
    if factor == 1.0:
        return wave
    louder = np.asarray(wave, dtype=np.float32) * np.float32(factor)
    if factor < 1.0:
        return louder
    size = np.abs(louder)
    bent = _KNEE + (1.0 - _KNEE) * np.tanh((size - _KNEE) / (1.0 - _KNEE))
    return np.where(size > _KNEE, np.sign(louder) * bent, louder).astype(np.float32)

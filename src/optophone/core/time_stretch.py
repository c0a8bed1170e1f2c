"""Speak faster or slower at the same pitch."""

from collections.abc import Iterable, Iterator

import numpy as np

from optophone.core.errors import AudioError

MIN_SPEED, MAX_SPEED = 0.25, 4.0

_HALF_FRAME_S = 0.02  # frames of 40 ms hold two or more periods of a low voice
_TOLERANCE_S = 0.01  # ± 10 ms reach a whole period of a voice of 50 Hz


def time_stretch(wave: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Change the tempo of a wave and keep its pitch.

    Args:
        wave: (N,) samples.
        speed: .25..4; 2 halves the duration. 1 returns the wave itself.
        sample_rate: Hz.

    Returns:
        (round(N / speed),) float32.

    Raises:
        AudioError: a speed out of range.

    Source: Verhelst & Roelands 1993 (WSOLA).
    """
    _check_speed(speed)
    if speed == 1.0:
        return wave
    return np.concatenate(list(stretch_stream([wave], speed, sample_rate)) or [np.zeros(0, dtype=np.float32)])


def stretch_stream(waves: Iterable[np.ndarray], speed: float, sample_rate: int) -> Iterator[np.ndarray]:
    """`time_stretch` of a wave that comes in chunks (n,): the same samples, each chunk (k,) as early as it can be."""
    _check_speed(speed)
    if speed == 1.0:
        yield from waves
        return
    stretching = _Stretching(speed, sample_rate)
    for wave in waves:
        part = stretching.push(np.asarray(wave, dtype=np.float32))
        if len(part):
            yield part
    part = stretching.finish()
    if len(part):
        yield part


def _check_speed(speed: float) -> None:
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise AudioError(f"the speed {speed:g} is out of range: use {MIN_SPEED:g} to {MAX_SPEED:g}, 1 is as recorded")


class _Stretching:
    """Overlapping frames laid out at a fixed distance, each taken from where the wave continues the frame before best.

    Positions count samples of the padded input from its very beginning; `_offset` of them were dropped already.
    """

    def __init__(self, speed: float, sample_rate: int) -> None:
        self._speed = speed
        self._half = max(2, round(_HALF_FRAME_S * sample_rate))
        self._tolerance = max(1, round(_TOLERANCE_S * sample_rate))
        # Two halves of a periodic Hann window add up to one, so that frames need no division.
        turns = np.arange(2 * self._half) / (2 * self._half)
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)
        self._input = np.zeros(self._half + self._tolerance, dtype=np.float32)
        self._offset = 0
        self._n_heard = 0
        self._n_frames = 0
        self._n_given = 0
        self._last = 0  # position of the frame before
        self._fading = np.zeros(self._half, dtype=np.float32)  # its second half

    def push(self, wave: np.ndarray) -> np.ndarray:
        """Take in samples (n,), return those (k,) that are ready."""
        self._n_heard += len(wave)
        self._input = np.concatenate([self._input, wave])
        parts = []
        while self._offset + len(self._input) >= self._needed():
            parts.append(self._next())
        ready = np.concatenate([np.zeros(0, dtype=np.float32), *parts])
        self._n_given += len(ready)
        return ready

    def finish(self) -> np.ndarray:
        """The rest (k,) after the last sample came in, so that the whole is as long as promised."""
        n_left = round(self._n_heard / self._speed) - self._n_given
        rest = np.zeros(0, dtype=np.float32)
        while len(rest) < n_left:
            missing = self._needed() - self._offset - len(self._input)
            self._input = np.concatenate([self._input, np.zeros(max(0, missing), dtype=np.float32)])
            rest = np.concatenate([rest, self._next()])
        return rest[:n_left]

    def _ideal(self) -> int:
        """Where the next frame would begin without any search: with its middle at speed times the time spoken."""
        return self._tolerance + round(self._n_frames * self._half * self._speed)

    def _needed(self) -> int:
        """Input positions the next frame reads at most."""
        frame = 2 * self._half
        return max(self._ideal() + self._tolerance + frame, self._last + self._half + frame)

    def _next(self) -> np.ndarray:
        """Lay the next frame; the half frame before its middle is then ready."""
        position = self._ideal() if self._n_frames == 0 else self._best_position()
        frame = self._read(position, 2 * self._half) * self._window
        ready = self._fading + frame[: self._half]
        if self._n_frames == 0:
            ready = ready[:0]  # the first frame's middle is the first sample
        self._fading = frame[self._half :]
        self._last = position
        self._n_frames += 1
        self._drop(min(self._last + self._half, self._ideal() - self._tolerance))
        return ready

    def _drop(self, position: int) -> None:
        """Forget the input before `position`."""
        n_dropped = min(max(0, position - self._offset), len(self._input))
        self._input = self._input[n_dropped:]
        self._offset += n_dropped

    def _best_position(self) -> int:
        """The position within the tolerance whose frame is most like what follows the frame before."""
        start = self._ideal() - self._tolerance
        follows = self._read(self._last + self._half, 2 * self._half)
        region = self._read(start, 2 * self._tolerance + 2 * self._half)
        likeness = np.correlate(region, follows, mode="valid")
        squares = np.concatenate([[0.0], np.cumsum(np.square(region, dtype=np.float64))])
        energy = squares[2 * self._half :] - squares[: -2 * self._half]
        likeness = likeness / np.sqrt(np.maximum(energy, 1e-8))
        best = int(likeness.argmax())
        return start + best if likeness[best] > 0.0 else self._ideal()

    def _read(self, position: int, length: int) -> np.ndarray:
        return self._input[position - self._offset :][:length]

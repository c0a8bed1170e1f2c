"""Where vocoders that draw get their noise: the same for a whole utterance and for its portions."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Noise(Protocol):
    """Noise of one utterance, from several sources that are used up step by step."""

    def draw(self, index: int, n_steps: int) -> np.ndarray:
        """The next steps (n_steps, size) float32 of source `index`."""
        ...


class SeededNoise:
    """Normal noise; every source has a generator of its own, so portions of any size make no difference.

    Args:
        sigma: standard deviation.
        seed: the same number draws the same noise.
        sizes: values of a step of each source.
    """

    def __init__(self, sigma: float, seed: int, sizes: Sequence[int]) -> None:
        self.sigma, self.sizes = np.float32(sigma), sizes
        self.generators = [np.random.default_rng((seed, index)) for index in range(len(sizes))]

    def draw(self, index: int, n_steps: int) -> np.ndarray:
        """The next steps (n_steps, size) of source `index`."""
        shape = (n_steps, self.sizes[index])
        return self.sigma * self.generators[index].standard_normal(shape, dtype=np.float32)


class GivenNoise:
    """Noise that the caller brings, for comparisons.

    Args:
        sigma: what it is multiplied by.
        noise: (size, T) for each source, used up from the front.
    """

    def __init__(self, sigma: float, noise: Sequence[np.ndarray]) -> None:
        self.rows = [np.float32(sigma) * np.asarray(draw, dtype=np.float32).T for draw in noise]

    def draw(self, index: int, n_steps: int) -> np.ndarray:
        """The next steps (n_steps, size) of source `index`."""
        found, self.rows[index] = self.rows[index][:n_steps], self.rows[index][n_steps:]
        assert len(found) == n_steps, f"noise {index} is too short"
        return np.ascontiguousarray(found)

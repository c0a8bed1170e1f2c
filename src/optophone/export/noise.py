"""Examples without data: what the graphs of imported weights are compared on where no photographs are given."""

import numpy as np

from optophone.core.vocabulary import Vocabulary

_TEXTS = (
    "a dog runs over the grass.",
    "two men in red shirts stand on a beach, and a third one sits.",
    "the quick brown fox jumps over the lazy dog.",
    "she sells sea shells by the sea shore.",
)
_FEWEST_REGIONS, _MOST_REGIONS = 10, 100  # of bottom-up features


def noise_regions(n: int, dim: int) -> list[np.ndarray]:
    """Features (R, D) float32 of `n` pictures: of different R, and like those behind a ReLU never negative."""
    generator = np.random.default_rng(0)
    counts = generator.integers(_FEWEST_REGIONS, _MOST_REGIONS + 1, n)
    return [np.maximum(generator.standard_normal((count, dim), np.float32), 0) for count in counts]


def noise_pictures(n: int) -> list[np.ndarray]:
    """Coarse coloured noise (H, W, 3) uint8."""
    generator = np.random.default_rng(0)
    return [np.kron(generator.integers(0, 256, (6, 8, 3)), np.ones((32, 32, 1))).astype(np.uint8) for _ in range(n)]


def noise_mels(n: int, n_mels: int, n_frames: int) -> list[np.ndarray]:
    """Mels (M, T) float32 in ln units, loud and soft by turns like syllables, with less in the higher bands."""
    generator = np.random.default_rng(0)
    bands, frames = np.linspace(0, -4, n_mels)[:, None], np.arange(n_frames)
    found = []
    for _ in range(n):
        loudness = 2 * np.sin(frames / generator.uniform(4, 8)) - 4
        found.append((bands + loudness + generator.normal(0, 1, (n_mels, n_frames))).astype(np.float32))
    return found


def noise_waves(n: int, sample_rate: int) -> list[np.ndarray]:
    """Two seconds each of tones under noise (N,) float32: another tone and loudness every tenth, like syllables."""
    generator = np.random.default_rng(0)
    found, every = [], sample_rate // 10
    for _ in range(n):
        frequency = np.repeat(np.exp(generator.uniform(np.log(100), np.log(0.4 * sample_rate), 20)), every)
        loudness = np.repeat(generator.uniform(0.01, 0.3, 20), every)
        tone = np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate)
        found.append((loudness * (tone + generator.normal(0, 0.3, len(tone)))).astype(np.float32))
    return found


def sentences(vocabulary: Vocabulary) -> list[np.ndarray]:
    """Symbols (S,) of a few sentences; where the vocabulary cannot spell them, symbols by chance."""
    if vocabulary.kind == "characters" and all(letter in vocabulary.symbols for text in _TEXTS for letter in text):
        return [np.array(vocabulary.encode(text), np.int64) for text in _TEXTS]
    generator = np.random.default_rng(0)
    return [generator.integers(0, len(vocabulary), len(text)) for text in _TEXTS]

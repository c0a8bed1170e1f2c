"""How many units there are, how evenly they are used, and how many bits a second they carry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError
from optophone.core.units import collapse


@dataclass(frozen=True)
class UnitRates:
    """What units cost, and how many there are.

    Attributes:
        n_codes: that the encoder has.
        used_codes: that occur.
        entropy_bits: of the code of a frame.
        perplexity: 2 to that power: so many codes, used evenly, would be as hard to guess.
        frames_per_s, units_per_s: codes a second, a lasting one counted in every frame, or once.
        bits_per_s_frames: frames a second times the entropy of a frame's code.
        bits_per_s_collapsed: units a second times the entropy of a unit; durations are lost.
        bits_per_s_lossless: the same with the entropy of the durations, in frames, added to that of the unit.
    """

    n_codes: int
    used_codes: int
    entropy_bits: float
    perplexity: float
    frames_per_s: float
    units_per_s: float
    bits_per_s_frames: float
    bits_per_s_collapsed: float
    bits_per_s_lossless: float


def unit_rates(units: Sequence[np.ndarray], n_codes: int, unit_s: float) -> UnitRates:
    """Rates of utterances.

    All entropies are of single codes, as if they did not depend on one another; they are estimated by the frequencies
    in `units`, which is too low where there are few frames for each code.

    Args:
        units: (S,) codes each, one per frame.
        n_codes: how many there are to choose from.
        unit_s: seconds of a frame.

    Raises:
        DataError: no units.

    Source: Dunbar et al. 2019, "The Zero Resource Speech Challenge 2019" (bit rate).
    """
    if not sum(map(len, units)):
        raise DataError("No units to count: there is no rate of nothing.")
    runs = [collapse(one) for one in units]
    frames, codes = np.concatenate(list(units)), np.concatenate([run.units for run in runs])
    lengths = np.concatenate([run.lengths for run in runs])
    frames_per_s, units_per_s = 1 / unit_s, len(codes) / (len(frames) * unit_s)
    of_frames, of_units, of_lengths = entropy(frames), entropy(codes), entropy(lengths)
    return UnitRates(
        n_codes=n_codes,
        used_codes=len(np.unique(codes)),
        entropy_bits=of_frames,
        perplexity=2**of_frames,
        frames_per_s=frames_per_s,
        units_per_s=units_per_s,
        bits_per_s_frames=frames_per_s * of_frames,
        bits_per_s_collapsed=units_per_s * of_units,
        bits_per_s_lossless=units_per_s * (of_units + of_lengths),
    )


def entropy(symbols: np.ndarray) -> float:
    """Bits of a symbol drawn from `symbols` (N,), N at least 1 (Shannon 1948)."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / counts.sum()
    return float(abs((shares * np.log2(shares)).sum()))

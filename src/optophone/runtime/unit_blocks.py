"""Frames → codes a part at a time: units of speech that is long, or still being spoken."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from optophone.core.configuration import check_ranges
from optophone.core.unit_filter_bank import UnitFilterBankConfig

LONGEST_CONTEXT = 2**16  # frames; no network looks so far
Codes = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class UnitTiming:
    """Which frames a unit is made of, and which it depends on.

    Args:
        stride: frames from one unit to the next.
        context: frames on either side of its first that a unit depends on.
        n_units: frames of an utterance → its units.
    """

    stride: int
    context: int
    n_units: Callable[[int], int]

    @property
    def look_ahead(self) -> int:
        """Frames after the first of a unit that must be there before it is settled."""
        return max(self.context, self.stride - 1)

    def delay_s(self, bank: UnitFilterBankConfig) -> float:
        """Seconds of sound after the beginning of a unit that must be there before it is settled."""
        return (self.look_ahead * bank.hop_length + bank.n_fft // 2) / bank.sample_rate


@dataclass(frozen=True)
class UnitBlocksConfig:
    """How many frames go through a graph together; it changes no unit.

    Args:
        block_frames: frames of a whole wave, those around them not counted.
        stream_frames: the fewest new frames of a stream that are worth a call of the graph.
    """

    block_frames: int = 4096
    stream_frames: int = 32

    def __post_init__(self) -> None:
        """Refuse blocks of nothing."""
        check_ranges(self, {"block_frames": (1, 1_000_000), "stream_frames": (1, 1_000_000)}, "units")


class UnitBlocks:
    """The codes of whole utterances through a graph that sees a part of them at a time.

    Args:
        codes: (M, T) frames → (S,) int64 codes, as of an utterance of its own.
        timing: of the units.
        config: sizes of the parts.
    """

    def __init__(self, codes: Codes, timing: UnitTiming, config: UnitBlocksConfig) -> None:
        self.codes, self.timing, self.config = codes, timing, config

    def whole(self, levels: np.ndarray) -> np.ndarray:
        """Codes (S,) of an utterance `levels` (M, T), T > 0; a long one goes through the graph in overlapping parts."""
        utterance, size = _Utterance(self.codes, self.timing), self.config.block_frames
        starts = range(0, levels.shape[1], size)
        return np.concatenate([utterance.push(levels[:, i : i + size], last=i == starts[-1]) for i in starts])

    def stream(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Codes (s,), s > 0, of an utterance whose frames arrive in `parts` (M, t): together those of the whole."""
        utterance = _Utterance(self.codes, self.timing)
        waiting: list[np.ndarray] = []
        for levels in parts:
            waiting.append(levels)
            if sum(part.shape[1] for part in waiting) >= self.config.stream_frames:
                found = utterance.push(np.concatenate(waiting, axis=1), last=False)
                waiting = [levels[:, :0]]
                if len(found):
                    yield found
        if waiting:
            found = utterance.push(np.concatenate(waiting, axis=1), last=True)
            if len(found):
                yield found


class _Utterance:
    """One utterance on its way through the graph: the frames that units still to come depend on.

    A unit depends on `context` frames on either side of its first. So frames go through the graph with those around
    them, cut where a unit begins, and only the units are taken whose context is all there or is the utterance's edge.
    """

    def __init__(self, codes: Codes, timing: UnitTiming) -> None:
        self.codes, self.timing = codes, timing
        self.levels: np.ndarray | None = None
        self.first = 0  # number of the first of `levels`, a multiple of the stride
        self.n_given = 0  # units that were given out

    def push(self, levels: np.ndarray, last: bool) -> np.ndarray:
        """Further frames (M, t), the final ones if `last`; returns the codes (s,) that are settled now."""
        timing, stride = self.timing, self.timing.stride
        self.levels = levels if self.levels is None else np.concatenate((self.levels, levels), axis=1)
        n_frames = self.first + self.levels.shape[1]
        settled = timing.n_units(n_frames) if last else (n_frames - timing.look_ahead - 1) // stride + 1
        if settled <= self.n_given:
            return np.zeros(0, np.int64)
        before = self.first // stride
        found = self.codes(self.levels)[self.n_given - before : settled - before]
        self.n_given = settled
        kept = max(0, settled * stride - timing.context) // stride * stride
        self.levels, self.first = self.levels[:, kept - self.first :], kept
        return found

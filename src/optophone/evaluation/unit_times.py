"""Where units stand in time, and what is said there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.spans import Span

PAUSE = "SIL"
_SHORTEST_PAUSE_S = 0.02


@dataclass(frozen=True)
class UnitTimes:
    """Frame k lasts from `lag_s` + k · `unit_s` on.

    Attributes:
        unit_s: seconds of a frame.
        lag_s: how much later than the first the frames begin; negative for earlier.
    """

    unit_s: float
    lag_s: float = 0.0

    def middles(self, n: int) -> np.ndarray:
        """(n,) seconds of the middles of frames."""
        return self.lag_s + (np.arange(n) + 0.5) * self.unit_s

    def inside(self, frames: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
        """Those of `frames` (S, …) whose middles lie from `start_s` to before `end_s`; may be none."""
        first, last = (self._place(at, len(frames)) for at in (start_s, end_s))
        return frames[first:last]

    def at(self, frames: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
        """The same; where there is none, the frame that is nearest to the middle."""
        found = self.inside(frames, start_s, end_s)
        if len(found):
            return found
        nearest = round(((start_s + end_s) / 2 - self.lag_s) / self.unit_s - 0.5)
        nearest = min(max(nearest, 0), len(frames) - 1)
        return frames[nearest : nearest + 1]

    def changes(self, units: np.ndarray) -> np.ndarray:
        """Seconds at which the next of `units` (S,) is another one."""
        return self.lag_s + (np.flatnonzero(units[1:] != units[:-1]) + 1) * self.unit_s

    def labels(self, n: int, spans: Sequence[Span]) -> list[str]:
        """What is said in the middles of `n` frames; `PAUSE` where nothing is."""
        middles = self.middles(n)
        places = np.searchsorted([span.start_s for span in spans], middles, side="right") - 1
        return [
            spans[place].label if place >= 0 and middle < spans[place].end_s else PAUSE
            for place, middle in zip(places, middles, strict=True)
        ]

    def _place(self, at: float, n: int) -> int:
        # A little off, so that rounding does not decide about a frame whose middle is the border itself.
        return min(max(int(np.ceil((at - self.lag_s) / self.unit_s - 0.5 - 1e-9)), 0), n)


def boundaries_of(spans: Sequence[Span]) -> np.ndarray:
    """(B,) seconds at which any of `spans` begins or ends, rising, each once."""
    return np.unique(np.round([at for span in spans for at in (span.start_s, span.end_s)], 3))


def pauses_of(spans: Sequence[Span], duration_s: float) -> list[Span]:
    """Where none of `spans` is, from the beginning to `duration_s`."""
    starts = [0.0, *(span.end_s for span in spans)]
    ends = [*(span.start_s for span in spans), duration_s]
    return [
        Span(PAUSE, start, end) for start, end in zip(starts, ends, strict=True) if end - start >= _SHORTEST_PAUSE_S
    ]

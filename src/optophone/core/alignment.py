"""What the attention of a voice says about its speech: words left out, said again, and ends that were not found."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AlignmentLimits:
    """What counts as a fault.

    Args:
        min_attention: steps of attention, summed, below which a symbol was not read.
        max_skipped: unread symbols in a row that are still no fault; English has silent letters.
        max_back: symbols that the reading may fall back behind where it had been.
        min_back_s: seconds of reading further back than that, all together, that count as saying something again.
        max_stuck_s: seconds on one symbol, the last one excepted.
        min_focus: mean of the largest weight of a step, below which the attention looks everywhere and nowhere.
    """

    min_attention: float = 0.2
    max_skipped: int = 4
    max_back: int = 3
    min_back_s: float = 0.1
    max_stuck_s: float = 1.0
    min_focus: float = 0.25


@dataclass(frozen=True)
class AlignmentReport:
    """What an alignment looks like.

    Args:
        focus: mean over the steps of the largest weight; 1 is a voice that reads one symbol at a time.
        diagonality: share of the attention within a tenth of the text of the straight line from the first symbol at
            the first step to the last at the last.
        skipped: (first, last) of the longest stretch of symbols that was not read, or None where it is short.
        back_s: seconds spent further back in the text than it had been.
        stuck_s: longest time on one symbol, the last one excepted.
        reached: share of the text that the reading got to.
        stopped: whether the voice ended by itself.
        problems: what is wrong, in words; empty for a sound alignment.
    """

    focus: float
    diagonality: float
    skipped: tuple[int, int] | None
    back_s: float
    stuck_s: float
    reached: float
    stopped: bool
    problems: tuple[str, ...]


def examine_alignment(
    alignment: np.ndarray, step_s: float, stopped: bool = True, limits: AlignmentLimits | None = None
) -> AlignmentReport:
    """Look for skipped and repeated text, for standing still, and for an end that was not found.

    Args:
        alignment: (T', S) attention over the symbols per decoder step, T' > 0.
        step_s: seconds of speech per step.
        stopped: whether the voice ended by itself.
        limits: what counts as a fault.

    Source: the failures are those that Ren et al. 2019 (FastSpeech) count in autoregressive voices; focus is theirs.
    """
    assert alignment.ndim == 2, alignment.shape
    assert alignment.size, "an alignment over nothing"
    limits = limits or AlignmentLimits()
    n_symbols = alignment.shape[1]
    peaks = alignment.argmax(axis=1)
    furthest = np.maximum.accumulate(peaks)
    focus = float(alignment.max(axis=1).mean())
    skipped = _longest_run(alignment.sum(axis=0) < limits.min_attention)
    long_enough = skipped is not None and skipped[1] - skipped[0] + 1 > limits.max_skipped
    back_s = float((furthest - peaks > limits.max_back).sum() * step_s)
    stuck_s = _longest_stay(peaks[peaks < n_symbols - 1]) * step_s
    problems = []
    if not stopped:
        problems.append("did not find its end")
    if focus < limits.min_focus:
        problems.append("lost its place in the text")
    else:
        if long_enough:
            problems.append("left out a part of the text")
        if back_s >= limits.min_back_s:
            problems.append("said a part of the text again")
        if stuck_s > limits.max_stuck_s:
            problems.append(f"stood still for {stuck_s:.1f} s")
    return AlignmentReport(
        focus=focus,
        diagonality=_diagonality(alignment),
        skipped=skipped if long_enough else None,
        back_s=back_s,
        stuck_s=stuck_s,
        reached=float((furthest[-1] + 1) / n_symbols),
        stopped=stopped,
        problems=tuple(problems),
    )


def _longest_run(flags: np.ndarray) -> tuple[int, int] | None:
    """First and last place of the longest run of true `flags` (S,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return None
    longest = int((ends - begins).argmax())
    return int(begins[longest]), int(ends[longest]) - 1


def _longest_stay(peaks: np.ndarray) -> int:
    """Most steps in a row with the same of `peaks` (T,)."""
    if not len(peaks):
        return 0
    edges = np.flatnonzero(np.diff(peaks)) + 1
    return int(np.diff(np.concatenate(([0], edges, [len(peaks)]))).max())


def _diagonality(alignment: np.ndarray) -> float:
    n_steps, n_symbols = alignment.shape
    steps = np.linspace(0.0, 1.0, n_steps)[:, None] if n_steps > 1 else np.zeros((1, 1))
    symbols = np.linspace(0.0, 1.0, n_symbols)[None] if n_symbols > 1 else np.zeros((1, 1))
    near = np.abs(steps - symbols) <= max(0.1, 1.0 / n_symbols)
    return float((alignment * near).sum() / max(float(alignment.sum()), 1e-9))

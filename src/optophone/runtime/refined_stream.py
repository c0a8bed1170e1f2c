"""Refining what comes bit by bit, exactly as if it had come at once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ChunkConfig:
    """How large the pieces of a stream are.

    Args:
        context: places to either side that one place of the refined depends on: so much later it can be given out.
        first: places of the first piece; small, so that sound comes early.
        later: places of the others.
    """

    context: int
    first: int
    later: int


def refine_stream(
    pieces: Iterable[np.ndarray], refine: Callable[[np.ndarray], np.ndarray], config: ChunkConfig, ratio: int = 1
) -> Iterator[np.ndarray]:
    """What `refine` makes of all `pieces` joined, in chunks, the first one early.

    Args:
        pieces: (F, t) of any lengths; together at least one place.
        refine: (F, t) → (M, t · ratio); a place depends on `config.context` others to either side, and beyond both ends
            of what it is given there is nothing.
        config: sizes of the chunks, in places of `pieces`.
        ratio: refined places for each.
    """
    kept: np.ndarray | None = None  # what may still be needed, from place `begin` on
    begin = done = n_places = 0  # `done` have been given out
    wanted = config.first
    waiting: list[np.ndarray] = []
    for piece in pieces:
        waiting.append(piece)
        n_places += piece.shape[1]
        if n_places < done + wanted + config.context:
            continue
        kept = _joined(kept, waiting)
        waiting = []
        end = n_places - config.context
        yield refine(kept)[:, (done - begin) * ratio : (end - begin) * ratio]
        done, wanted = end, config.later
        keep = max(0, done - config.context)
        kept, begin = kept[:, keep - begin :], keep
    if n_places > done:
        yield refine(_joined(kept, waiting))[:, (done - begin) * ratio :]


def _joined(kept: np.ndarray | None, waiting: list[np.ndarray]) -> np.ndarray:
    pieces = waiting if kept is None else [kept, *waiting]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

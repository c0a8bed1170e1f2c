"""Progress of long preparations: a bar with tqdm, a plain line without it, nothing when nobody watches."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0


def show_progress(items: Iterable[T], total: int | None, label: str, start: int = 0) -> Iterator[T]:
    """Pass `items` through and tell the terminal how far they are.

    Args:
        items: what remains to be done.
        total: how many there are with those done earlier; None where nobody knows.
        label: what is counted, for instance "train pictures".
        start: how many were done in an earlier run.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _plain_lines(items, total, label, start)
        return
    yield from tqdm(items, total=total, desc=label, initial=start)


def _plain_lines(items: Iterable[T], total: int | None, label: str, start: int) -> Iterator[T]:
    said = time.monotonic()
    for n_done, item in enumerate(items, start=start):
        yield item
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"{label}: {n_done + 1}" + (f" of {total}" if total is not None else ""), file=sys.stderr)

"""How far a long command is: one line on a terminal, nothing anywhere else."""

import os
import sys
from types import TracebackType

_WIDTH = 24


class Progress:
    """A bar on standard error that other output does not tear apart.

    Nothing is drawn for a single item, when standard error is no terminal, or when `quiet`.

    Args:
        n_items: how many there are in all.
        quiet: draw nothing.
    """

    def __init__(self, n_items: int, quiet: bool = False) -> None:
        self.n_items = n_items
        self.n_done = 0
        self.shown = not quiet and n_items > 1 and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> "Progress":
        self.draw()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()

    def advance(self) -> None:
        """One more is done."""
        self.n_done += 1
        self.draw()

    def draw(self) -> None:
        """Show the line."""
        if self.shown:
            filled = _WIDTH * self.n_done // self.n_items
            bar = "#" * filled + "." * (_WIDTH - filled)
            sys.stderr.write(f"\r[{bar}] {self.n_done}/{self.n_items} ")
            sys.stderr.flush()

    def clear(self) -> None:
        """Wipe the line, so that something else can be printed."""
        if self.shown:
            sys.stderr.write("\r" + " " * (_WIDTH + 24) + "\r")
            sys.stderr.flush()

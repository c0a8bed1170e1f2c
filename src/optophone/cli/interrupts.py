"""Ctrl-C that is noticed where Python loses it.

Python raises a KeyboardInterrupt wherever the main thread happens to be. In a finalizer, in the callback of a weak
reference (every import ends with one) or in a function that C calls (libsndfile, where it works on Python's files)
there is nobody to hand it on to: Python reports an "Exception ignored in ..." and the work goes on. So here the handler
also notes that it was called, and loops over long work ask between two items.

Source: the Python documentation of the module signal, "Note on Signal Handlers and Exceptions".
"""

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Item = TypeVar("Item")

_is_pressed = False  # of the process, as signals are; a plain value, because a handler must not wait for locks


@contextmanager
def noticed_interrupts() -> Iterator[None]:
    """While this lasts, no Ctrl-C is lost: what `check_interrupt` has not raised by the end is raised here.

    Each press raises at once where it can. Nothing changes outside of the main thread, which alone gets signals, and
    where Ctrl-C is ignored (as under nohup) or handled by somebody else.
    """
    global _is_pressed
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    show = sys.unraisablehook

    def show_all_but_interrupts(unraisable: "sys.UnraisableHookArgs") -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            show(unraisable)

    _is_pressed = False
    sys.unraisablehook = show_all_but_interrupts
    signal.signal(signal.SIGINT, _note_and_raise)
    try:
        yield
        check_interrupt()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = show
        _is_pressed = False


def interruptible(items: Iterable[Item]) -> Iterator[Item]:
    """`items`, and between two of them the KeyboardInterrupt that was lost, if one was."""
    for item in items:
        check_interrupt()
        yield item


def check_interrupt() -> None:
    """Raise the KeyboardInterrupt that was lost, if one was."""
    if _is_pressed:
        raise KeyboardInterrupt


def _note_and_raise(number: int, frame: FrameType | None) -> None:
    global _is_pressed
    _is_pressed = True
    raise KeyboardInterrupt

"""Bytes that a thread makes and the event loop sends on while the rest is being made."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress


class Relay:
    """Hands pieces of bytes from a thread to the event loop; create it in the loop.

    Args:
        pieces: makes them; called in the thread.
        max_bytes: that may wait for a slow reader; the thread waits then.
        timeout_s: how long it waits before it gives up.
    """

    def __init__(self, pieces: Callable[[], Iterator[bytes]], max_bytes: int = 2**20, timeout_s: float = 30.0) -> None:
        self._pieces = pieces
        self._max_bytes, self._timeout_s = max_bytes, timeout_s
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._condition = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._n_bytes = 0
        self._is_stopped = False
        self._is_done = False
        self._error: BaseException | None = None

    def fill(self) -> None:
        """Make the pieces, in the thread, until they end or nobody wants them any more."""
        error: BaseException | None = None
        try:
            for piece in self._pieces():
                if piece and not self._put(piece):
                    break
        except BaseException as raised:  # handed on to the reader
            error = raised
        with self._condition:
            self._error, self._is_done = error, True
        self._wake()

    def stop(self) -> None:
        """Nobody reads any more: the thread ends with the piece it is at."""
        with self._condition:
            self._is_stopped = True
            self._waiting.clear()
            self._condition.notify_all()
        self._arrived.set()

    async def wait_for_first(self) -> None:
        """Return when a piece is there; raise where there was an error before it."""
        while True:
            with self._condition:
                if self._waiting or self._is_stopped:
                    return
                if self._is_done:
                    if self._error is not None:
                        raise self._error
                    return
                self._arrived.clear()
            await self._arrived.wait()

    async def read(self) -> AsyncIterator[bytes]:
        """The pieces, as they come.

        Raises:
            Whatever making them raised.
        """
        while True:
            await self.wait_for_first()
            with self._condition:
                if self._is_stopped or not self._waiting:
                    return
                piece = self._waiting.popleft()
                self._n_bytes -= len(piece)
                self._condition.notify_all()
            yield piece

    def _put(self, piece: bytes) -> bool:
        """Whether the piece was wanted."""
        until = time.monotonic() + self._timeout_s
        with self._condition:
            while self._n_bytes >= self._max_bytes and not self._is_stopped:
                if not self._condition.wait(until - time.monotonic()):
                    return False  # whoever reads has stopped reading
            if self._is_stopped:
                return False
            self._waiting.append(piece)
            self._n_bytes += len(piece)
        self._wake()
        return True

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(self._arrived.set)

"""How many requests are worked on at once, how many may wait, and for how long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from optophone.server.problems import Problem
from optophone.server.relay import Relay

Result = TypeVar("Result")
IsGone = Callable[[], Awaitable[bool]]


class Gate:
    """A fixed number of threads that work, and a queue with an end before them.

    Args:
        workers: threads.
        queue: requests that may wait.
        timeout_s: seconds to wait for a thread, and for one piece of work in it.
    """

    def __init__(self, workers: int, queue: int, timeout_s: float) -> None:
        self.workers, self.queue, self.timeout_s = workers, queue, timeout_s
        self.n_waiting = 0
        self.n_working = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="optophone")
        self._semaphore = asyncio.Semaphore(workers)

    @asynccontextmanager
    async def place(self, is_gone: IsGone | None = None) -> AsyncIterator["Place"]:
        """A thread for one request; it is given back when what was begun in it has ended, however the request went.

        Args:
            is_gone: asks whether the client is still there once its turn has come.

        Raises:
            Problem: 429 where the queue is full, 503 where the turn does not come in time.
        """
        await self._enter()
        place = Place(self)
        try:
            if is_gone is not None and await is_gone():
                raise Problem(503, "The client went away before its turn came.")
            yield place
        finally:
            place.end_one()

    async def _enter(self) -> None:
        if self.n_working + self.n_waiting >= self.workers + self.queue:
            raise Problem(429, "Too many requests are waiting; try again in a second.", retry_after_s=1)
        self.n_waiting += 1
        try:
            await asyncio.wait_for(self._semaphore.acquire(), self.timeout_s)
        except TimeoutError:
            text = f"The server was busy for {self.timeout_s:g} seconds; try again later."
            raise Problem(503, text, retry_after_s=5) from None
        finally:
            self.n_waiting -= 1
        self.n_working += 1

    def leave(self) -> None:
        """Let the next one in."""
        self.n_working -= 1
        self._semaphore.release()

    def submit(self, work: Callable[[], Result]) -> "Future[Result]":
        """Run `work` in a thread."""
        return self._pool.submit(work)

    def close(self) -> None:
        """Take no more work; threads that still work end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Place:
    """One thread of a gate, for one request.

    Args:
        gate: whose thread it is.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._n_uses = 1  # the request itself, and each piece of work that has not ended

    async def run(self, work: Callable[[], Result]) -> Result:
        """What `work` returns.

        Raises:
            Problem: 503 where it takes too long; it goes on, and the thread is taken until it ends.
        """
        job = asyncio.wrap_future(self._begin(work))
        try:
            return await asyncio.wait_for(job, self._gate.timeout_s)
        except TimeoutError:
            raise self._too_slow() from None

    async def stream(self, relay: Relay) -> None:
        """Fill a relay in the thread, and return as soon as its first piece is there.

        Raises:
            Problem: 503 where that takes too long.
        """
        self._begin(relay.fill)
        try:
            await asyncio.wait_for(relay.wait_for_first(), self._gate.timeout_s)
        except TimeoutError:
            raise self._too_slow() from None

    def end_one(self) -> None:
        """One use less; the last gives the thread back."""
        self._n_uses -= 1
        if self._n_uses == 0:
            self._gate.leave()

    def _begin(self, work: Callable[[], Result]) -> "Future[Result]":
        self._n_uses += 1
        job = self._gate.submit(work)
        job.add_done_callback(lambda _: self._end_from_thread())
        return job

    def _end_from_thread(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(self.end_one)

    def _too_slow(self) -> Problem:
        return Problem(503, f"This took longer than {self._gate.timeout_s:g} seconds.", retry_after_s=5)

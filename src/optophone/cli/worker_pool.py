"""Work spread over processes, which outlives the death of any of them."""

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType, TracebackType
from typing import Any, Generic, TypeVar

from optophone.cli.interrupts import check_interrupt
from optophone.core.errors import OptophoneError

Item = TypeVar("Item")
Result = TypeVar("Result")

N_TRIES = 2  # of an item whose process dies over it: the first death may have had another reason
_TICK_S = 0.5  # how often a lost Ctrl-C is looked for


def count_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Failure:
    """Why there is no result, in one line."""

    message: str


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    number: int | None = None  # of the item it has


class WorkerPool(Generic[Item, Result]):
    """Some processes, each of which loads once and then works on one item after the other.

    A process that dies (killed, out of memory, a crash in a decoder) is replaced; the item it had is tried once more by
    another and then given up. Processes end with the one that started them, even where that is killed.

    Args:
        make: called once in each process; makes the function of an item. It is sent there, so it can be pickled.
        n_workers: processes, at least 1.
    """

    def __init__(self, make: Callable[[], Callable[[Item], Result]], n_workers: int) -> None:
        assert n_workers > 0
        self.make = make
        self.context = multiprocessing.get_context("spawn")  # threads of ONNX Runtime do not survive a fork
        self.workers = [self._start() for _ in range(n_workers)]

    def __enter__(self) -> "WorkerPool[Item, Result]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self.workers:
            worker.connection.close()  # which an idle process takes for the end
            if kind is not None:
                worker.process.terminate()
        for worker in self.workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def run(self, items: Sequence[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Each item with its result, or with why there is none, as they become ready: in no order.

        Raises:
            OptophoneError: a process cannot begin, for the reason it gives.
        """
        waiting, tries = deque(range(len(items))), [0] * len(items)
        n_left = len(items)
        while n_left:
            for number, answer in self._answers(items, waiting):
                tries[number] += 1
                if answer is not None:
                    yield items[number], answer
                elif tries[number] < N_TRIES:
                    waiting.appendleft(number)
                    continue
                else:
                    yield items[number], Failure(f"the process that worked on it died, {N_TRIES} times")
                n_left -= 1

    def _answers(self, items: Sequence[Item], waiting: deque[int]) -> Iterator[tuple[int, Any]]:
        """Give work to who has none, then wait; items with results, or with None where the process died."""
        for worker in self.workers:
            if worker.number is None and waiting:
                worker.number = waiting.popleft()
                with contextlib.suppress(OSError):  # it died idle; its end of the pipe is found closed below
                    worker.connection.send(items[worker.number])
        ready = wait([worker.connection for worker in self.workers if worker.number is not None], _TICK_S)
        check_interrupt()
        for place, worker in enumerate(self.workers):
            if worker.connection in ready:
                assert worker.number is not None
                number, worker.number = worker.number, None
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    self.workers[place], answer = self._start(), None
                if isinstance(answer, OptophoneError):
                    raise answer
                yield number, answer

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(theirs, self.make), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _work(connection: Connection, make: Callable[[], Callable[[Any], Any]]) -> None:
    """What a process does: answer every item until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started this ends it
    signal.signal(signal.SIGTERM, _leave)  # by an exception, so that what is half written is cleared away
    try:
        work = make()
    except OptophoneError as error:
        connection.recv()
        connection.send(error)
        return
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = work(item)
        except OptophoneError as error:
            answer = Failure(" ".join(str(error).split()))
        except Exception as error:  # a fault of ours in one item must not take the others with it
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(at.filename)}:{at.lineno}"
            answer = Failure(f"unexpected {type(error).__name__} at {where}: {' '.join(str(error).split())}")
        try:
            connection.send(answer)
        except OSError:
            return

"""Pieces from a thread to the event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from optophone.server.relay import Relay


def pieces_of(*pieces: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(pieces)


async def read_all(relay: Relay) -> list[bytes]:
    return [piece async for piece in relay.read()]


def in_thread(relay: Relay) -> threading.Thread:
    thread = threading.Thread(target=relay.fill)
    thread.start()
    return thread


def test_all_pieces_come_in_order() -> None:
    async def check() -> None:
        relay = Relay(pieces_of(b"a", b"", b"bc", b"d"), max_bytes=2)
        thread = in_thread(relay)
        await relay.wait_for_first()
        assert await read_all(relay) == [b"a", b"bc", b"d"]
        thread.join()

    asyncio.run(check())


def test_the_first_comes_before_the_last_is_made() -> None:
    async def check() -> None:
        last = threading.Event()

        def make() -> Iterator[bytes]:
            yield b"first"
            assert last.wait(10)
            yield b"last"

        relay = Relay(make)
        thread = in_thread(relay)
        reading = relay.read()
        assert await anext(reading) == b"first"
        assert not last.is_set()
        last.set()
        assert await anext(reading) == b"last"
        thread.join()

    asyncio.run(check())


def test_an_error_reaches_the_reader() -> None:
    async def check() -> None:
        def make() -> Iterator[bytes]:
            yield b"a"
            raise ValueError("no more")

        relay = Relay(make)
        thread = in_thread(relay)
        thread.join()
        await relay.wait_for_first()
        with pytest.raises(ValueError, match="no more"):
            await read_all(relay)

        broken = Relay(lambda: iter([1 / 0]))  # type: ignore[list-item]
        in_thread(broken).join()
        with pytest.raises(ZeroDivisionError):
            await broken.wait_for_first()

    asyncio.run(check())


def test_a_stop_ends_the_thread() -> None:
    async def check() -> None:
        n_made = 0

        def make() -> Iterator[bytes]:
            nonlocal n_made
            while True:
                n_made += 1
                yield b"x" * 10

        relay = Relay(make, max_bytes=30)
        thread = in_thread(relay)
        await relay.wait_for_first()
        relay.stop()
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
        assert n_made <= 5  # no more than wait for a reader
        assert await read_all(relay) == []

    asyncio.run(check())


def test_a_reader_who_stops_reading_is_given_up() -> None:
    async def check() -> None:
        relay = Relay(pieces_of(*[b"x" * 10] * 100), max_bytes=20, timeout_s=0.05)
        thread = in_thread(relay)
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
        assert len(b"".join(await read_all(relay))) == 20

    asyncio.run(check())

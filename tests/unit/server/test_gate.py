"""Places to work and to wait."""

import asyncio
import threading

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from optophone.server.gate import Gate
from optophone.server.problems import Problem


def test_work_returns_and_raises() -> None:
    async def check() -> None:
        gate = Gate(workers=1, queue=0, timeout_s=5)
        async with gate.place() as place:
            assert gate.n_working == 1
            assert await place.run(lambda: 7) == 7
            with pytest.raises(ZeroDivisionError):
                await place.run(lambda: 1 / 0)
        await asyncio.sleep(0.01)
        assert (gate.n_working, gate.n_waiting) == (0, 0)
        gate.close()

    asyncio.run(check())


def test_requests_of_the_same_moment_are_counted_too() -> None:
    async def check() -> None:
        gate = Gate(workers=1, queue=2, timeout_s=5)
        go = threading.Event()

        async def ask() -> int:
            try:
                async with gate.place() as place:
                    await place.run(go.wait)
            except Problem as problem:
                return problem.status_code
            return 200

        asked = [asyncio.create_task(ask()) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert (gate.n_working, gate.n_waiting) == (1, 2)
        go.set()
        assert sorted(await asyncio.gather(*asked)) == [200, 200, 200, 429, 429]
        gate.close()

    asyncio.run(check())


def test_a_place_is_taken_until_its_work_has_ended() -> None:
    async def check() -> None:
        gate = Gate(workers=1, queue=1, timeout_s=0.05)
        go = threading.Event()
        with pytest.raises(Problem, match="longer than") as refused:
            async with gate.place() as place:
                await place.run(go.wait)
        assert refused.value.status_code == 503
        assert gate.n_working == 1
        with pytest.raises(Problem, match="busy"):
            async with gate.place():
                pass
        go.set()
        await asyncio.sleep(0.05)
        assert gate.n_working == 0
        async with gate.place() as place:
            assert await place.run(lambda: 7) == 7
        gate.close()

    asyncio.run(check())


def test_those_who_are_gone_are_not_worked_for() -> None:
    async def is_gone() -> bool:
        return True

    async def check() -> None:
        gate = Gate(workers=1, queue=0, timeout_s=5)
        with pytest.raises(Problem, match="went away"):
            async with gate.place(is_gone):
                pytest.fail("it was let in")
        assert gate.n_working == 0
        gate.close()

    asyncio.run(check())

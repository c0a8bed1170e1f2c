"""The server under requests that are none: no fault of its own, nobody kept waiting, and no memory that stays.

A few hundred here; `OPTOPHONE_FUZZ=20000 pytest tests/system/test_server_fuzz.py` sends as many of each.
"""

import gc
import http.client
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tiny_bundles import write_system

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import optophone
from malformed_requests import malformed_request
from optophone.server.metrics import resident_bytes
from served import JSON, Answer, Served, form_of, served, wait_until

N_REQUESTS = int(os.environ.get("OPTOPHONE_FUZZ", "300"))
N_WARM_UP = 100
CLIENTS = 8
PATIENCE_S = 30.0  # on a machine that is busy otherwise
MOST_GROWTH = 6 * 2**20  # of bytes; the bodies that are sent come to more than twice as much
PHOTO = Path(__file__).resolve().parents[2] / "examples" / "beach.jpg"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    system = write_system(tmp_path / "system")
    with served(optophone.load(system, threads=1), timeout_s=0.5, max_bytes=200_000, workers=2) as running:
        yield running


def outcome(port: int, number: int) -> str:
    """The status that a malformed request got, "closed" where it got none, or what was wrong with the answer."""
    content = malformed_request(number)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(content)
            answer = http.client.HTTPResponse(connection, method=content.partition(b" ")[0].decode("latin-1"))
            answer.begin()
            body = answer.read()
        except TimeoutError:
            return f"{number}: no answer within {PATIENCE_S:g} s"
        except (ConnectionError, http.client.BadStatusLine, http.client.IncompleteRead):
            return "closed"
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return fault(number, Answer(answer.status, headers, body)) or str(answer.status)


def fault(number: int, answer: Answer) -> str | None:
    """What no request may bring about."""
    if answer.status >= 500 and answer.status != 503:
        return f"{number}: status {answer.status}: {answer.body[:200]!r}"
    if b"Traceback" in answer.body or b'File "' in answer.body:
        return f"{number}: a traceback: {answer.body[:200]!r}"
    if answer.status >= 400 and answer.body and "json" in answer.headers.get("content-type", ""):
        try:
            assert answer.problem
        except AssertionError:
            return f"{number}: no sentence: {answer.body[:200]!r}"
    return None


def test_malformed_requests_do_no_harm(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        outcomes = Counter(clients.map(partial(outcome, server.port), range(N_REQUESTS)))
    faults = [one for one in outcomes if ":" in one]
    assert faults == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "uvicorn" not in caplog.text  # nothing fills the terminal of whoever runs the server
    assert {"200", "400", "404", "405", "415", "422"} <= set(outcomes), outcomes
    print(dict(outcomes))
    wait_until(lambda: server.get("/healthz").json["working"] == 0)
    assert server.get("/healthz").json["waiting"] == 0
    wait_until(lambda: not server.server.server_state.connections)
    assert server.post("/v1/describe", PHOTO.read_bytes()).status == 200


@pytest.mark.parametrize("address", ["/v1/describe/", "/v1/describe", "/healthz"])
def test_a_body_that_is_no_http_is_no_error_of_the_server(
    server: Served, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused before the application answers, which may want no body at all."""
    method = "GET" if address == "/healthz" else "POST"
    head = f"{method} {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode() + b"no length\r\n")
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        assert answer.status == 400
        answer.read()
    wait_until(lambda: not server.server.server_state.connections)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.skipif(resident_bytes() is None, reason="the system does not say how much memory is in use")
def test_memory_stays_bounded(server: Served) -> None:
    """Bodies that are read and refused, and ones that are answered, over connections of their own."""
    noise = np.random.default_rng(0).bytes(40_000)
    form, headers = form_of(noise)
    speech = json.dumps({"input": "Hello.", "response_format": "wav", "model": "x" * 30_000}).encode()
    asked = (("/v1/describe", noise, {}, 415), ("/v1/describe", form, headers, 415), ("/nowhere", noise, {}, 404))
    asked += (("/v1/describe", PHOTO.read_bytes(), {}, 200), ("/v1/audio/speech", speech, JSON, 200))
    before = 0
    for number in range(N_WARM_UP + N_REQUESTS):
        if number == N_WARM_UP:
            gc.collect()
            before = resident_bytes() or 0
        address, body, given, status = asked[number % len(asked)]
        answer = server.ask("POST", address, body, given)
        assert answer.status in (status, 503), answer
    gc.collect()
    grown = (resident_bytes() or 0) - before
    print(f"{N_REQUESTS} requests: {grown / 2**20:.1f} MiB more than {before / 2**20:.0f} MiB")
    assert grown < MOST_GROWTH

"""A server on a free port in a thread of the test, and a client that says exactly what it sends."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvicorn

from optophone.pipelines import Pipeline
from optophone.server.app import build_app
from optophone.server.options import ServerOptions
from optophone.server.serve import listen, server_config

JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The sentence of a refusal, whose form is checked."""
        assert self.headers["content-type"] == "application/problem+json", self
        content = self.json
        assert content["status"] == self.status
        assert content["type"] == "about:blank"
        assert content["error"]["message"] == content["detail"]
        detail = content["detail"]
        assert detail[-1] in ".!?"
        assert detail[0].isupper() or not detail[0].isalpha()
        assert "\n" not in detail
        assert "Traceback" not in detail
        return detail


class Served:
    """A running server."""

    def __init__(self, server: uvicorn.Server, port: int, thread: threading.Thread) -> None:
        self.server, self.port, self.thread = server, port, thread
        self.host = f"127.0.0.1:{port}"

    def connect(self, timeout_s: float = 20.0) -> http.client.HTTPConnection:
        """A connection of its own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def ask(self, method: str, address: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to one request; a dict is sent as JSON."""
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {**JSON, **(headers or {})}
        connection = self.connect()
        try:
            connection.request(method, address, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
        finally:
            connection.close()

    def get(self, address: str, **headers: str) -> Answer:
        """The answer to a GET."""
        return self.ask("GET", address, headers=headers)

    def post(self, address: str, body: Any, **headers: str) -> Answer:
        """The answer to a POST; header names with _ for -."""
        return self.ask("POST", address, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def send(self, content: bytes, timeout_s: float = 10.0) -> bytes:
        """Whatever comes back for bytes that need not be HTTP."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            connection.sendall(content)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer


@contextmanager
def served(pipeline: Pipeline, name: str = "tiny", **options: Any) -> Iterator[Served]:
    """A server for the time of a test."""
    limits = ServerOptions(port=0, **options)
    listening = listen(limits.host, 0)
    server = uvicorn.Server(server_config(build_app(pipeline, limits, name), limits))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield Served(server, listening.getsockname()[1], thread)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive(), "the server does not stop"


def wait_until(is_so: Any, timeout_s: float = 10.0) -> None:
    """Return when `is_so()`; fail when that takes too long."""
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def form_of(content: bytes, file_name: str = "photo.png", **fields: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a form with a file and fields."""
    boundary = "----optophone"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="picture"; filename="{file_name}"\r\n\r\n'
    parts += [head.encode(), content, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={boundary}"}

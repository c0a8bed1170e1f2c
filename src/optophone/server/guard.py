"""What stands before the application: who may call, how much they may send, and what is counted."""

import asyncio
import ipaddress
import logging
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from optophone.server.metrics import Metrics
from optophone.server.options import ServerOptions, is_loopback
from optophone.server.problems import UNEXPECTED, Problem, problem_response

LOG = logging.getLogger("optophone.server")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
MAX_HEADER_BYTES = 16 * 2**10
_READS_ONLY = ("GET", "HEAD", "OPTIONS")
_DRAIN_S = 2.0  # how long the rest of a refused body is read


class Guard:
    """An ASGI application around another one.

    It refuses names of other hosts (against DNS rebinding) and calls from other origins' pages, bounds how long and how
    large a body is and how long a client may read nothing, stops what a request began when the request is over, counts,
    and turns what nobody expected into one plain sentence.

    Args:
        app: the application.
        options: limits, and who may call.
        metrics: where it counts.
        addresses: the addresses there are; all others are counted as one.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics, addresses: Iterable[str]) -> None:
        self._app, self._options, self._metrics = app, options, metrics
        self._addresses = frozenset(addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if it may pass."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        body = _BoundedBody(receive, self._options, Headers(scope=scope).get("expect", ""))
        answer = _Answer(send, body, self._options.timeout_s)
        try:
            await self._pass(scope, body, answer)
        except (ClientDisconnect, TimeoutError):
            LOG.info("a client went away")
        except Exception as error:
            self._report(scope, error)
            if not answer.status:
                await problem_response(500, UNEXPECTED)(scope, receive, answer.send)
        finally:
            for stop in scope.get("optophone.stops", ()):
                stop()
            self._count(scope, answer)

    async def _pass(self, scope: Scope, body: "_BoundedBody", answer: "_Answer") -> None:
        headers = Headers(scope=scope)
        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
                raise Problem(431, f"The headers are larger than {MAX_HEADER_BYTES // 1024} KiB; send fewer.")
            check_host(headers.get("host", ""), self._options.allowed_hosts)
            if scope["method"] not in _READS_ONLY:
                check_origin(headers.get("origin"), headers.get("host", ""), self._options.allowed_origins)
            body.check_declared(headers.get("content-length"))
        except Problem as problem:
            response = problem_response(problem.status_code, problem.detail, {"Connection": "close"})
            await response(scope, body.receive, answer.send)
            return
        await self._app(scope, body.receive, answer.send)

    def _report(self, scope: Scope, error: Exception) -> None:
        """One line for whoever runs the server; with the log level debug all of it."""
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" ({last[0].filename}:{last[0].lineno})" if last else ""
        text = " ".join(str(error).split())[:200]
        LOG.error("%s %s: %s: %s%s", scope["method"], scope["path"], type(error).__name__, text, place)
        LOG.debug("all of it", exc_info=error)

    def _count(self, scope: Scope, answer: "_Answer") -> None:
        address = scope["path"] if scope["path"] in self._addresses else "other"
        status = str(answer.status or "none")
        self._metrics.count("optophone_requests_total", address=address, status=status)
        self._metrics.observe("optophone_request_seconds", time.perf_counter() - answer.began, address=address)
        if answer.first_byte_s is not None:
            self._metrics.observe("optophone_first_byte_seconds", answer.first_byte_s, address=address)


class _Answer:
    """Notes what is sent, adds the headers that every answer has, and lets clients go that read nothing.

    A refusal waits a little for the rest of the body: a connection that is closed with something unread is reset, and
    many clients then report that instead of the refusal.
    """

    def __init__(self, send: Send, body: "_BoundedBody", timeout_s: float) -> None:
        self._send, self._body, self._timeout_s = send, body, timeout_s
        self.began = time.perf_counter()
        self.status = 0
        self.first_byte_s: float | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if self.status >= 400:
                await self._body.drain()
        elif message.get("body") and self.first_byte_s is None:
            self.first_byte_s = time.perf_counter() - self.began
        async with asyncio.timeout(self._timeout_s):
            await self._send(message)


class _BoundedBody:
    """A body of so many bytes at most, that comes in so many seconds at most."""

    def __init__(self, receive: Receive, options: ServerOptions, expect: str) -> None:
        self._receive, self._options = receive, options
        self._until = time.monotonic() + options.timeout_s
        self._n_bytes = 0
        self._is_awaited = "100-continue" in expect.lower()  # by the client: it sends nothing before it is asked to
        self._has_ended = False  # it is whole, the client is gone, or nobody waits for it any more

    async def receive(self) -> Message:
        """The next message.

        Raises:
            Problem: 408, 413.
        """
        if self._has_ended:  # what comes now is only that the client goes away
            return await self._receive()
        self._is_awaited = False
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            self._has_ended = True
            text = f"The request did not come whole within {self._options.timeout_s:g} seconds."
            raise Problem(408, text) from None
        self._n_bytes += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        if self._n_bytes > self._options.max_body:
            raise self._too_large()
        return message

    def check_declared(self, content_length: str | None) -> None:
        """Raise 413 where the header already says that the body is too long."""
        if content_length and content_length.isdigit() and int(content_length) > self._options.max_body:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, f"The request is larger than {self._options.max_body / 2**20:.0f} MiB; send less.")

    async def drain(self) -> None:
        """Read on and forget, for a short time; a client that waits to be asked for its body is not asked."""
        if self._is_awaited:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while not self._has_ended:
                    message = await self._receive()
                    self._has_ended = not message.get("more_body", False)


def check_host(host: str, allowed: Iterable[str]) -> None:
    """Refuse names of other hosts.

    A page of a stranger can give its own name the address of this machine and then read what is served here; it cannot
    give it another name. Plain addresses are no names.

    Raises:
        Problem: 403.
    """
    name = host_name(host)
    if "*" in allowed or is_loopback(name) or name.lower() in {one.lower() for one in allowed}:
        return
    try:
        ipaddress.ip_address(name)
    except ValueError:
        text = f"This server is not called {name[:60]!r}; open it as localhost, or start it with --allow-host."
        raise Problem(403, text) from None


def host_name(host: str) -> str:
    """A Host header without the port and without the brackets of IPv6; empty where it is no such header."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def check_origin(origin: str | None, host: str, allowed: Iterable[str]) -> None:
    """Refuse what pages of other origins send; programs send no Origin header.

    Raises:
        Problem: 403.
    """
    if origin is None or "*" in allowed or origin in allowed:
        return
    if host and origin.lower().partition("://")[2] == host.lower():
        return
    raise Problem(403, f"Pages of {origin[:60]!r} may not call this server; start it with --allow-origin.")

"""Connections whose request never begins, or breaks off: closed, so that nobody can hold all that the system has."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_Request = Callable[[], object]  # the last one of a connection, or None where it is gone


class BrokenOffProtocol(H11Protocol):
    """uvicorn's protocol, which tells the application that nobody listens where a body turns out to be no HTTP.

    uvicorn answers such a body itself; the application's own answer would then be an error of the server's.
    """

    def send_400_response(self, msg: str) -> None:
        """Answer, where no answer has begun, and close the connection."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        super().send_400_response(msg)


def closing_slow_heads(timeout_s: float) -> Callable[..., H11Protocol]:
    """Makes uvicorn's protocols. A connection is closed where the head of its first request is not whole after
    `timeout_s` seconds, or that of a further one after as many, and at most twice as many, since the answer before.

    uvicorn's own limit ends with the first byte of a head.
    """

    def connect(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> H11Protocol:
        protocol: H11Protocol = BrokenOffProtocol(config, server_state, app_state, _loop)
        # Connections come and go faster than this is over, and must not be kept by it: so by weak references.
        protocol.loop.call_later(timeout_s, _look, weakref.ref(protocol), timeout_s, _no_request)
        return protocol

    return connect


def _look(reference: weakref.ref[H11Protocol], timeout_s: float, idle_after: _Request | None) -> None:
    """Close a connection that waits for a request now and did so at the last look, after the same request."""
    protocol = reference()
    if protocol is None or protocol.transport is None or protocol.transport.is_closing():
        return
    is_idle = protocol.conn.their_state is h11.IDLE
    if is_idle and idle_after is not None and idle_after() is protocol.cycle:
        protocol.transport.close()
        return
    last = _no_request if protocol.cycle is None else weakref.ref(protocol.cycle)
    protocol.loop.call_later(timeout_s, _look, reference, timeout_s, last if is_idle else None)


def _no_request() -> None:
    """What a connection has had at its beginning."""

"""Runs the server until it is told to stop, and then finishes what it has begun."""

import logging
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable

import uvicorn

from optophone.core.errors import ConfigurationError
from optophone.pipelines import Pipeline, UnspokenWarning
from optophone.server.app import build_app
from optophone.server.guard import MAX_HEADER_BYTES
from optophone.server.options import ServerOptions
from optophone.server.slow_heads import closing_slow_heads

_KEEP_ALIVE_S = 5
_SWITCH_S = 0.0005  # with Python's own .005 two workers do a tenth less


def serve(pipeline: Pipeline, options: ServerOptions, name: str, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        pipeline: what describes and speaks.
        options: where, and limits.
        name: of the model.
        say: tells whoever started the server a line, once it listens.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    app = build_app(pipeline, options, name)
    listening = listen(options.host, options.port)
    server = uvicorn.Server(server_config(app, options))
    # What texts hold that no voice can spell is nobody's business but the caller's.
    warnings.filterwarnings("ignore", category=UnspokenWarning)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # nor what is wrong with their forms
    # A worker that computes for a moment without Python's lock waits this long to get it back from one that has it.
    sys.setswitchinterval(_SWITCH_S)
    with listening:
        say(f"Optophone listens on {address_of(listening)}  (Ctrl-C stops it)")
        if threading.current_thread() is threading.main_thread():
            # uvicorn finishes its requests on SIGTERM and then sends the signal on: the end has then come already.
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        server.run(sockets=[listening])


def server_config(app: object, options: ServerOptions) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="asyncio",
        http=closing_slow_heads(options.timeout_s),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # that somebody's request is no HTTP is told to whoever sent it
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        # What has been begun may take as long as it may take anyway.
        timeout_graceful_shutdown=round(2 * options.timeout_s) + 1,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    host = host.strip("[]")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Windows would let two programs listen on the same port.
        reuse = sys.platform != "win32"
        opened = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"cannot listen on {host}: {error}; choose another --host.") from None
    try:
        if reuse:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        reason = error.strerror or str(error)
        raise ConfigurationError(f"cannot listen on {host}:{port}: {reason}; choose another --port.") from None
    return opened


def address_of(listening: socket.socket) -> str:
    """The address of a listening socket, for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"

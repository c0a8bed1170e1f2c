"""What a server allows."""

import ipaddress
from dataclasses import dataclass

from optophone.core.errors import ConfigurationError
from optophone.core.picture import PictureLimits


@dataclass(frozen=True)
class ServerOptions:
    """Limits of a server, and who may talk to it.

    Args:
        host: address to listen on; only this machine reaches 127.0.0.1.
        port: 0 takes a free one.
        workers: requests that are worked on at the same time, each in a thread.
        queue: requests that may wait for one of them; those beyond are refused at once (429).
        max_bytes: of an encoded picture (413).
        max_pixels: of a decoded one (413).
        max_text: characters to be spoken in one request (422).
        max_variants: descriptions in one request (422).
        timeout_s: seconds for each of: reading a request, waiting for a worker, the work up to the first sound, and
            a client that reads nothing (408, 503).
        allowed_hosts: names in the Host header beside localhost and plain addresses; "*" allows all.
        allowed_origins: web pages of other origins that may call, for instance "https://example.org".

    Raises:
        ConfigurationError: a value without a meaning.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 2
    queue: int = 32
    max_bytes: int = 24 * 2**20
    max_pixels: int = 50_000_000
    max_text: int = 4096
    max_variants: int = 8
    timeout_s: float = 30.0
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("workers", "max_bytes", "max_pixels", "max_text", "max_variants"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name}: {getattr(self, name)} is too few; give 1 or more.")
        if self.queue < 0 or self.timeout_s <= 0:
            raise ConfigurationError("queue must be 0 or more, and timeout_s above 0.")
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"port: {self.port} is out of range; choose 0 to 65535.")

    @property
    def picture_limits(self) -> PictureLimits:
        """What is refused before a picture is decoded."""
        return PictureLimits(self.max_bytes, self.max_pixels)

    @property
    def max_body(self) -> int:
        """Bytes of a request: the largest picture in base64, with something around it."""
        return self.max_bytes * 4 // 3 + 2**16

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"

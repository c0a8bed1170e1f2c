"""Requests as nobody should send them: the same from the same number."""

import base64
import copy
import io
import json
import random
from typing import Any

from PIL import Image

from served import form_of
from tiny_bundles import picture

_PATHS = ("/", "/docs", "/openapi.json", "/healthz", "/metrics", "/v1/models", "/api/tags", "/v1/describe", "/nowhere")
_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "G\x00T", "", "P" * 99)
_TARGETS = (
    "", "*", "//", "/%", "/%ff%00", "/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "http://evil.example/", "evil:80",
    "/v1/describe?", "/v1/describe?variants=-1", "/v1/describe?variants=" + "9" * 400, "/v1/describe?speed=nan&speed=1",
    "/v1/describe?seed=1e99", "/v1/describe?%00=%ff", "/v1/describe?response_format=%F0%9F%94%8A", "/v1/describe/",
    "/v1/describe?" + "a=1&" * 900, "/" + "a" * 9000, "/é", "/ v1", "/v1/describe?force=maybe&attention=[]",
)  # fmt: skip
_HEADERS = (
    "Host: ", "Host: a, b", "Host: [", "Host: evil.example", "Host: é", "Origin: null", "Origin: \x7f", "Origin: [",
    "Content-Length: 0", "Content-Length: 7", "Content-Length: -1", "Content-Length: 99999999999999999999",
    "Content-Length: 1, 2", "Content-Length: ٣", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: x", "Expect: 100-continue", "Expect: miracles", "Connection: upgrade\r\nUpgrade: websocket",
    "Accept: audio/wav", "Accept: ;;;q=", "Accept: */*;q=nan", "Accept: " + "a/b," * 3000, "Content-Type: ",
    "Content-Type: multipart/form-data", "Content-Type: multipart/form-data; boundary=", "Content-Type: text/plain",
    "Content-Type: multipart/form-data; boundary=" + "-" * 5000, "Content-Type: multipart/form-data; boundary=é",
    "Content-Type: application/json; charset=utf-99", "Content-Type: image/png", "Content-Type: application/json",
    "Content-Encoding: gzip", "Range: bytes=9-1", "no colon", ": no name", " folded", "X: a\rb", "X: \x00", "X:" * 5000,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 10**400, -0.0, 1e308, float("nan"), float("inf"), "", "x", "\ud800", "\x00", "é" * 300,
    "data:", "data:,", "data:image/png;base64,", "data:image/png;base64,AAAA", "file:///etc/passwd", "A" * 5001, "=",
    "http://127.0.0.1/", [], {}, [None], [[[[]]]], {"": None}, {"type": "image_url"}, {"url": 1}, ["x"] * 300,
)  # fmt: skip


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(True)).save(file, "PNG")
    return file.getvalue()


_PHOTO = _png()
_BASE64 = base64.b64encode(_PHOTO).decode()
_URL = {"url": f"data:image/png;base64,{_BASE64}"}
_PARTS = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": _URL}]
_BODIES: dict[str, dict[str, Any]] = {
    "/v1/audio/speech": {"input": "Hello.", "voice": "alloy", "response_format": "wav", "stream_format": "sse"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": _PARTS}], "stream": False, "model": "x"},
    "/describe": {"image_b64": _BASE64, "task": "caption"},
    "/api/chat": {"messages": [{"role": "user", "content": "?", "images": [_BASE64]}], "stream": True},
    "/completion": {"prompt": "USER: ?\nASSISTANT:", "image_data": [{"data": _BASE64, "id": 1}]},
}


def malformed_request(number: int) -> bytes:
    """One to three kinds of damage done to a request that was well formed; now and then it stays so."""
    generator = random.Random(number)
    method, target, headers, body = _well_formed(generator)
    kinds = generator.choices(("target", "headers", "body", "bytes"), (2, 2, 5, 1), k=generator.choice((1, 1, 2, 3)))
    if "target" in kinds:
        method, target = _changed_target(method, target, generator)
    if "body" in kinds:
        body = _damaged(body, generator)
    lengths = [] if "headers" in kinds and generator.random() < 0.4 else [f"Content-Length: {len(body)}"]
    lines = [*headers, *lengths]
    if "headers" in kinds:
        for _ in range(generator.choice((1, 1, 2, 5))):
            lines.insert(generator.randint(0, len(lines)), generator.choice(_HEADERS))
    version = generator.choice(("1.1",) * 16 + ("1.0", "2", "0.9", "x"))
    head = "\r\n".join([f"{method} {target} HTTP/{version}", *lines, "", ""]).encode("utf-8", "surrogatepass")
    return _damaged(head + body, generator) if "bytes" in kinds else head + body


def _well_formed(generator: random.Random) -> tuple[str, str, list[str], bytes]:
    headers = ["Host: localhost", "Connection: close"]
    kind = generator.random()
    if kind < 0.1:
        return "GET", generator.choice(_PATHS), headers, b""
    if kind < 0.3:
        return "POST", "/v1/describe", headers, _PHOTO
    if kind < 0.5:
        body, given = form_of(_PHOTO, variants="2", response_format="wav")
        return "POST", "/v1/describe", [*headers, *(f"{name}: {value}" for name, value in given.items())], body
    address, content = generator.choice(list(_BODIES.items()))
    content = json.loads(json.dumps(content))
    for _ in range(generator.choice((0, 1, 1, 3))):
        _change_value(content, generator)
    text = json.dumps(content, ensure_ascii=generator.random() < 0.5)
    return "POST", address, [*headers, "Content-Type: application/json"], text.encode("utf-8", "surrogatepass")


def _change_value(node: Any, generator: random.Random) -> None:
    """Change one value somewhere below `node`."""
    if not node:
        return
    key = generator.choice(list(node)) if isinstance(node, dict) else generator.randrange(len(node))
    if isinstance(node[key], dict | list) and node[key] and generator.random() < 0.7:
        _change_value(node[key], generator)
    elif generator.random() < 0.2 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = copy.deepcopy(generator.choice(_VALUES))  # it may be changed further


def _changed_target(method: str, target: str, generator: random.Random) -> tuple[str, str]:
    if generator.random() < 0.4:
        return generator.choice(_METHODS), target
    return method, generator.choice(_TARGETS)


def _damaged(content: bytes, generator: random.Random) -> bytes:
    for _ in range(generator.choice((1, 1, 3))):
        content = _cut_or_stuffed(content, generator)
    return content


def _cut_or_stuffed(content: bytes, generator: random.Random) -> bytes:
    start = generator.randint(0, len(content))
    before, after = content[:start], content[start:]
    kinds = (
        before,
        before + after[generator.choice((1, 4, 100)) :],
        before + generator.randbytes(generator.choice((1, 4, 100))) + after,
        before + b"\r\n" * generator.choice((1, 2, 50)) + after,
        before + after[:50] * 20 + after,
        b"[" * generator.choice((1, 1000, 30_000)),
        generator.randbytes(generator.choice((0, 1, 2000))),
    )
    return generator.choice(kinds)

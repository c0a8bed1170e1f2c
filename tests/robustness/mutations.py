"""Damage as it happens, and as it is done on purpose: the same from the same seed."""

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n"
# What sizes, counts and offsets are changed to: the edges of their types, and what multiplies to far too much.
_NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 4095, 8000, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31)
_LAYOUTS = ("<H", ">H", "<I", ">I", "<Q", ">Q")
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 65536, 2**31, 2**63, 10**400, 0.0, -0.5, 1e-320, 1e308, float("nan"), float("inf"),
    "", "x", "..", "/etc/passwd", "a\nb", "\x1b[2J", "\ud800", "é", "9" * 30, "y" * 5000, [], {}, [0], [None],
    ["a", "a"], {"a": 1}, {"": {}}, [[[[[[]]]]]], [1, 2, 3], ["0"] * 300,
)  # fmt: skip


def mutate(content: bytes, generator: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """`content` with one to four kinds of damage; `others` are what it may be spliced with."""
    for _ in range(generator.choice((1, 1, 1, 2, 2, 4))):
        content = generator.choice(_KINDS)(content, generator, others)
    # A checksum keeps most damage from the decoder behind it; whoever does damage on purpose mends the checksum.
    return _with_checksums(content) if content.startswith(_PNG) and generator.random() < 0.6 else content


def mutate_json(content: bytes, generator: random.Random, below: str | None = None) -> bytes:
    """JSON that stays JSON, with one to three values, keys or items changed; only those `below` a key where given."""
    whole = json.loads(content)
    holder = [whole if below is None else whole[below]]
    for _ in range(generator.choice((1, 1, 2, 3))):
        _change_node(holder, generator)
    changed = holder[0] if below is None else {**whole, below: holder[0]}
    return json.dumps(changed, ensure_ascii=generator.random() < 0.8).encode("utf-8", "surrogatepass")


def _change_node(holder: list[Any], generator: random.Random) -> None:
    places = list(_places(holder))
    parent, key = generator.choice(places)
    alike = [value for value in _VALUES if type(value) is type(parent[key])]  # what is read further
    value = copy.deepcopy(generator.choice(alike if alike and generator.random() < 0.7 else _VALUES))
    kind = generator.random()
    if kind < 0.6:
        parent[key] = value
    elif kind < 0.75 and parent is not holder:
        del parent[key]
    elif kind < 0.9 and isinstance(parent, dict):
        parent[generator.choice(("", "x", "class", "a\nb", "\ud800", str(key).upper()))] = parent[key]
    else:
        parent[key] = [parent[key]] * generator.choice((1, 2, 50))


def _places(node: Any) -> Any:
    """Every (container, key or index) below `node`."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def _flip_bits(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _unused in range(generator.choice((1, 1, 2, 8, 64)) if changed else 0):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def _cut_off(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    return content[: _place(content, generator)]


def _remove(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    start = _place(content, generator)
    return content[:start] + content[start + generator.choice((1, 2, 4, 16, 500)) :]


def _insert(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    start = _place(content, generator)
    size = generator.choice((1, 2, 4, 16, 500))
    added = generator.choice((bytes(size), b"\xff" * size, generator.randbytes(size)))
    return content[:start] + added + content[start:]


def _repeat(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    start, size = _place(content, generator), generator.choice((4, 16, 64, 1000))
    return content[:start] + content[start : start + size] * generator.choice((2, 3, 30)) + content[start + size :]


def _overwrite(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    start, size = _place(content, generator), generator.choice((1, 4, 16, 64))
    return (content[:start] + generator.choice((bytes(size), b"\xff" * size)) + content[start + size :])[: len(content)]


def _change_size(content: bytes, generator: random.Random, _: Sequence[bytes]) -> bytes:
    """Write a number where headers keep their sizes: mostly near the beginning."""
    layout = generator.choice(_LAYOUTS)
    number = generator.choice(_NUMBERS) % 256 ** struct.calcsize(layout)
    start = generator.randrange(min(64, len(content) + 1)) if generator.random() < 0.7 else _place(content, generator)
    field = struct.pack(layout, number)
    return content[:start] + field + content[start + len(field) :]


def _splice(content: bytes, generator: random.Random, others: Sequence[bytes]) -> bytes:
    other = generator.choice(others) if others else content
    return content[: _place(content, generator)] + other[_place(other, generator) :]


def _place(content: bytes, generator: random.Random) -> int:
    """Anywhere, and every third time in the first 200 bytes."""
    near = generator.random() < 0.33
    return generator.randrange(min(200, len(content)) + 1 if near else len(content) + 1)


def _with_checksums(content: bytes) -> bytes:
    """A PNG with the checksums of all its chunks made anew, as far as it has chunks."""
    at = len(_PNG)
    mended = bytearray(content)
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            break
        mended[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


_KINDS: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _flip_bits, _flip_bits, _cut_off, _remove, _insert, _repeat, _overwrite, _change_size, _change_size, _splice,
)  # fmt: skip

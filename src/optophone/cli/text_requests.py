"""What `optophone say` is to speak: a text, lines, or lines of JSON."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optophone.core.errors import TextError

MAX_LINE_BYTES = 1 << 20  # of standard input; what is longer is cut there and goes on as the next line
_KEYS = ("text", "output_file", "speaker", "speaker_id", "speed", "length_scale")


@dataclass(frozen=True)
class TextRequest:
    """One thing to say.

    Args:
        number: its line, from 1.
        text: what to say.
        output_file: where its sound goes, or None for where the options say.
        speaker: who says it, by name or, as int, by number; None for whom the options say.
        speed: how fast, or None as the options say.
        error: why it cannot be said; "" where it can.
    """

    number: int
    text: str
    output_file: str | None = None
    speaker: str | int | None = None
    speed: float | None = None
    error: str = ""


def text_lines(text: str) -> Iterator[TextRequest]:
    """The lines of `text` that are not blank; blank ones are counted."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield TextRequest(number, line.strip())


def stdin_lines() -> Iterator[TextRequest]:
    """The lines of standard input, as they come; blank ones are counted but not given."""
    stream = sys.stdin.buffer
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        text = line.decode("utf-8", errors="replace").strip()
        if text:
            yield TextRequest(number, text)


def json_requests(lines: Iterator[TextRequest]) -> Iterator[TextRequest]:
    """Lines as objects: {"text": "Hello.", "output_file": "hello.wav", "speaker": ..., "speed": ...}."""
    for line in lines:
        try:
            yield _parse(line)
        except TextError as error:
            yield TextRequest(line.number, line.text, error=str(error))


def _parse(line: TextRequest) -> TextRequest:
    try:
        record: Any = json.loads(line.text)
    except (ValueError, RecursionError):
        raise TextError('not JSON; each line is an object such as {"text": "Hello."}') from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise TextError('no "text"; each line is an object such as {"text": "Hello.", "output_file": "hello.wav"}')
    for key in record:
        if key not in _KEYS:
            raise TextError(f"unknown key {key!r}; known are {', '.join(_KEYS)}")
    output_file = record.get("output_file")
    if output_file is not None and (not isinstance(output_file, str) or not output_file):
        raise TextError('"output_file" is no file name')
    return TextRequest(line.number, record["text"], output_file, _speaker(record), _speed(record))


def _speaker(record: dict[str, Any]) -> str | int | None:
    """The speaker asked for: "speaker" is a name or a number, piper's "speaker_id" a number."""
    speaker = record.get("speaker", record.get("speaker_id"))
    if speaker is not None and (isinstance(speaker, bool) or not isinstance(speaker, str | int)):
        raise TextError('"speaker" is neither a name nor a number')
    return speaker


def _speed(record: dict[str, Any]) -> float | None:
    """The speed asked for, also by its inverse as piper has it."""
    for key in ("speed", "length_scale"):
        value = record.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise TextError(f'"{key}" is no number above 0')
        return float(value) if key == "speed" else 1.0 / value
    return None

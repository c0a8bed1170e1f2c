"""Vocabulary files of the reference implementations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optophone.core.errors import VocabularyError
from optophone.core.vocabulary import Vocabulary

_MAX_BYTES = 32 * 2**20
_SENTENCE_END = "."


def read_reference_vocabulary(reference: str, path: str | Path) -> Vocabulary:
    """The vocabulary of a reference's checkpoint.

    Args:
        reference: "xlan" for a list of words, "sat" for a word map; a `vocabulary.json` of ours is read for any.
        path: the file.

    Raises:
        VocabularyError: missing, too large, or not such a file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise VocabularyError(f"{path}: cannot read the vocabulary ({error.strerror}).") from None
    if len(content) > _MAX_BYTES:
        raise VocabularyError(f"{path}: too large for a vocabulary (over {_MAX_BYTES >> 20} MiB).")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise VocabularyError(f"{path}: not a vocabulary (no UTF-8 text).") from None
    if text.lstrip().startswith("{"):
        mapping = _parse(text, path)
        if "symbols" in mapping:
            return Vocabulary.from_json(text, str(path))
        if reference == "sat":
            return _named(path, lambda: _word_map(mapping))
    elif reference == "xlan":
        return _named(path, lambda: _word_list(text))
    wanted = {"xlan": "a word a line, such as coco_vocabulary.txt", "sat": "the JSON WORDMAP_*.json"}
    raise VocabularyError(f"{path}: not the vocabulary of {reference}: {wanted.get(reference, 'our vocabulary.json')}.")


def check_size(vocabulary: Vocabulary, n_symbols: int, path: str | Path) -> None:
    """Refuse a vocabulary of another size than the checkpoint's.

    Raises:
        VocabularyError: with both numbers.
    """
    if len(vocabulary) != n_symbols:
        raise VocabularyError(
            f"{path}: {len(vocabulary)} symbols, special ones included, but the checkpoint has {n_symbols}; "
            "give the vocabulary that it was trained with."
        )


def _word_list(text: str) -> Vocabulary:
    """X-LAN's: the word of line n has the id n; 0 is the end of a sentence, its beginning and padding."""
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise VocabularyError(f"line {number} is empty, but every line is a word.")
    unknown = next((number for number, word in enumerate(lines, start=1) if word.strip().upper() == "UNK"), None)
    symbols = (_SENTENCE_END, *(line.strip() for line in lines))
    return Vocabulary("words", symbols, pad=0, start=0, end=0, unknown=unknown)


def _word_map(mapping: dict[str, Any]) -> Vocabulary:
    """Show-Attend-and-Tell's: word to id, with <start>, <end>, <unk> and <pad> among the words."""
    symbols = [""] * len(mapping)
    for word, number in mapping.items():
        if type(number) is not int or not 0 <= number < len(symbols) or symbols[number]:
            raise VocabularyError(
                f"{word[:40]!r} has the id {number!r}, but {len(symbols)} words have the ids 0 to {len(symbols) - 1}, "
                "each once."
            )
        symbols[number] = word
    for name in ("<start>", "<end>", "<pad>"):
        if name not in mapping:
            raise VocabularyError(f"no {name} among the words of the word map.")
    return Vocabulary(
        "words", tuple(symbols), mapping["<pad>"], mapping["<start>"], mapping["<end>"], mapping.get("<unk>")
    )


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        mapping = json.loads(text)
    except (ValueError, RecursionError):
        raise VocabularyError(f"{path}: not a vocabulary (no valid JSON).") from None
    if not isinstance(mapping, dict):
        raise VocabularyError(f"{path}: not a vocabulary (a JSON object is expected).")
    return mapping


def _named(path: Path, read: Callable[[], Vocabulary]) -> Vocabulary:
    """What `read` returns; its errors name the file."""
    try:
        return read()
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from None

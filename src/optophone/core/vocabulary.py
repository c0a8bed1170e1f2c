"""What the ids of a model mean: words, characters, phones or units.

An image-to-text and an image-to-unit model are one captioner with two vocabularies, and a text-to-speech and a
unit-to-speech model one acoustic model; so the vocabulary travels beside the weights, and its hash says whether two
parts speak the same symbols.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from optophone.core.errors import VocabularyError
from optophone.core.text import ARPABET, detokenize, tokenize_caption
from optophone.core.whole_file import why_unwritten, write_whole

VocabularyKind = Literal["words", "characters", "phones", "units"]

_MAX_FILE_BYTES = 32 * 1024 * 1024
_MAX_SYMBOLS = 1_000_000
_MAX_SYMBOL_LENGTH = 256
_KEYS = ("kind", "symbols", "pad", "start", "end", "unknown")
WORD_BOUNDARY = "|"  # stands between words of phones
_INLINE_PHONES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a model; the id of a symbol is its place.

    Args:
        kind: what a symbol stands for, which decides how text is cut into symbols.
        symbols: all symbols, special ones included, no two alike.
        pad: id that fills up shorter rows of a batch.
        start: id that begins a sequence, or None where sequences have no such mark.
        end: id that ends a sequence, or None.
        unknown: id of everything that has no symbol, or None where that is an error.

    Special ids may coincide (X-LAN uses 0 for start, end and padding). `encode` never makes `pad`, `start` or `end`
    out of text, so a unit vocabulary needs symbols of its own for them: see `build_units`.

    Raises:
        VocabularyError: no symbols, an empty or a doubled one, or a special id out of range.
    """

    kind: VocabularyKind
    symbols: tuple[str, ...]
    pad: int = 0
    start: int | None = None
    end: int | None = None
    unknown: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(VocabularyKind):
            raise VocabularyError(f"{self.kind!r} is no kind of vocabulary; use {', '.join(get_args(VocabularyKind))}.")
        if not self.symbols:
            raise VocabularyError("A vocabulary needs at least one symbol.")
        for symbol, count in Counter(self.symbols).items():
            if not symbol or len(symbol) > _MAX_SYMBOL_LENGTH:
                raise VocabularyError(f"The symbol {symbol[:40]!r} of a vocabulary is empty or too long.")
            if any("\ud800" <= letter <= "\udfff" for letter in symbol):
                raise VocabularyError(f"The symbol {symbol!r} is half a character, which no file can hold.")
            if self.kind != "characters" and symbol.split() != [symbol]:
                raise VocabularyError(f"The symbol {symbol!r} has white space, which {self.kind} cannot have.")
            if count > 1:
                raise VocabularyError(f"The symbol {symbol!r} stands {count} times in the vocabulary.")
        for name in ("pad", "start", "end", "unknown"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < len(self.symbols):
                raise VocabularyError(f"{name}={value} is not an id of a vocabulary with {len(self.symbols)} symbols.")

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON: equal exactly when all symbols and special ids are."""
        canonical = json.dumps(self._mapping(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    @property
    def reads_phones(self) -> bool:
        """Whether it spells text in characters, and takes inline phones among them."""
        return self.kind == "characters" and "@AA" in self.symbols

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, without start and end.

        Words are cut by `tokenize_caption`; characters are taken one by one, as they come (clean the text before),
        with ``{HH AW1}`` for phones where the vocabulary has them as ``@HH``; phones and units stand between spaces.

        Raises:
            VocabularyError: something in `text` has no symbol and the vocabulary no `unknown`.
        """
        if self.kind == "words":
            return self._ids(tokenize_caption(text))
        if self.kind == "characters":
            return self._ids(self._characters(text))
        return self._ids(text.split())

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text of `ids`: pad and start are left out and everything from the first end on.

        Words come as a line ("a dog's ball"), characters joined, inline phones in braces among them, phones and units
        with spaces between.

        Raises:
            VocabularyError: an id that the vocabulary does not have.
        """
        symbols = self.symbols_of(ids)
        if self.kind == "words":
            return detokenize(symbols)
        return _join_characters(symbols) if self.kind == "characters" else " ".join(symbols)

    def symbols_of(self, ids: Iterable[int]) -> list[str]:
        """The symbols that `decode` joins, one per id that it keeps."""
        symbols: list[str] = []
        for number in map(int, ids):
            if not 0 <= number < len(self.symbols):
                raise VocabularyError(f"The id {number} is not in this vocabulary of {len(self.symbols)} symbols.")
            leading_start = not symbols and number == self.start
            if number == self.end and not leading_start:
                break
            if number not in (self.pad, self.start):
                symbols.append(self.symbols[number])
        return symbols

    def to_json(self) -> str:
        """The vocabulary as JSON text; `from_json` reads it back equal."""
        return json.dumps(self._mapping(), ensure_ascii=False, indent=None, separators=(",", ": ")) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "vocabulary") -> "Vocabulary":
        """Read what `to_json` wrote.

        Args:
            text: the JSON.
            where: the name printed in errors, for instance the file.

        Raises:
            VocabularyError: no JSON, a missing or unknown key, a value of the wrong type, or symbols that do not fit.
        """
        try:
            mapping = json.loads(text)
        except (ValueError, RecursionError):
            raise VocabularyError(f"{where}: not a vocabulary (no valid JSON).") from None
        _check_mapping(mapping, where)
        try:
            return cls(**{**mapping, "symbols": tuple(mapping["symbols"])})
        except VocabularyError as error:
            raise VocabularyError(f"{where}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json` to `path`, all or nothing."""
        target = Path(path)
        try:
            write_whole(target, self.to_json().encode())
        except OSError as error:
            raise VocabularyError(f"{target}: cannot write the vocabulary ({why_unwritten(error)}).") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            VocabularyError: the file is missing, too large, or no vocabulary.
        """
        try:
            with open(path, "rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
        except OSError as error:
            raise VocabularyError(f"{path}: cannot read the vocabulary ({error.strerror}).") from None
        if len(content) > _MAX_FILE_BYTES:
            raise VocabularyError(f"{path}: too large for a vocabulary (over {_MAX_FILE_BYTES >> 20} MiB).")
        try:
            return cls.from_json(content.decode("utf-8"), where=str(path))
        except UnicodeDecodeError:
            raise VocabularyError(f"{path}: not a vocabulary (no UTF-8 text).") from None

    def _mapping(self) -> dict[str, Any]:
        return {key: list(value) if key == "symbols" else value for key in _KEYS for value in [getattr(self, key)]}

    @cached_property
    def _index(self) -> dict[str, int]:
        special = {self.pad, self.start, self.end}
        return {symbol: i for i, symbol in enumerate(self.symbols) if i not in special}

    def _ids(self, symbols: Sequence[str]) -> list[int]:
        ids = []
        for symbol in symbols:
            number = self._index.get(symbol, self.unknown)
            if number is None:
                raise VocabularyError(
                    f"The vocabulary of {self.kind} has no symbol {symbol!r}; change or clean the text."
                )
            ids.append(number)
        return ids

    def _characters(self, text: str) -> list[str]:
        symbols: list[str] = []
        for i, part in enumerate(_INLINE_PHONES.split(text)):
            if i % 2 == 0:
                symbols.extend(part)
                continue
            phones = [f"@{phone}" for phone in part.split()]
            if phones and all(phone in self._index for phone in phones):
                symbols.extend(phones)
            else:
                symbols.extend("{" + part + "}")
        return symbols


def _join_characters(symbols: Sequence[str]) -> str:
    """Characters, with the phones that stand together as ``{HH AW1}``."""
    pieces = []
    for is_phone, group in groupby(symbols, key=lambda symbol: len(symbol) > 1 and symbol[0] == "@"):
        found = list(group)
        pieces.append("{" + " ".join(phone[1:] for phone in found) + "}" if is_phone else "".join(found))
    return "".join(pieces)


def build_words(captions: Iterable[str], min_count: int = 1) -> Vocabulary:
    """The words of `captions` that occur at least `min_count` times.

    Ids 0–3 are ``<pad>``, ``<start>``, ``<end>`` and ``<unknown>``; the most frequent words follow, words of equal
    count in alphabetical order, so that the same captions always give the same vocabulary.
    """
    counts = Counter(word for caption in captions for word in tokenize_caption(caption))
    words = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    return Vocabulary("words", ("<pad>", "<start>", "<end>", "<unknown>", *words), pad=0, start=1, end=2, unknown=3)


def build_units(n_units: int) -> Vocabulary:
    """Units "0" to str(n_units - 1) after ``<pad>``, ``<start>`` and ``<end>``: unit u has id u + 3."""
    assert n_units >= 1
    return Vocabulary("units", ("<pad>", "<start>", "<end>", *map(str, range(n_units))), pad=0, start=1, end=2)


def build_letters() -> Vocabulary:
    """What a recogniser writes: "-" is the blank of its alignments and the padding; space, apostrophe, a to z."""
    return Vocabulary("characters", ("-", " ", "'", *"abcdefghijklmnopqrstuvwxyz"), pad=0)


def build_phones(transcriptions: Iterable[str]) -> Vocabulary:
    """The phones of `transcriptions`, in which phones stand between spaces and words between `WORD_BOUNDARY`.

    Ids 0–3 are ``<pad>``, ``<start>``, ``<end>`` and the boundary; the phones follow in the order of their code points.
    """
    phones = {phone for transcription in transcriptions for phone in transcription.split()} - {WORD_BOUNDARY}
    symbols = ("<pad>", "<start>", "<end>", WORD_BOUNDARY, *sorted(phones))
    return Vocabulary("phones", symbols, pad=0, start=1, end=2)


def tacotron2_characters() -> Vocabulary:
    """The 148 symbols of the public Tacotron 2 checkpoints: space is 11, "a" is 38, phones are written "@HH"."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return Vocabulary("characters", ("_", "-", *"!'(),.:;? ", *letters, *(f"@{phone}" for phone in ARPABET)), pad=0)


def _check_mapping(mapping: Any, where: str) -> None:
    """Refuse whatever `Vocabulary.to_json` would not have written."""
    if not isinstance(mapping, dict):
        raise VocabularyError(f"{where}: not a vocabulary (a JSON object is expected).")
    for key in sorted(set(mapping) ^ set(_KEYS)):
        problem = "unknown key" if key in mapping else "missing key"
        raise VocabularyError(f"{where}: {problem} {key!r}; a vocabulary has {', '.join(_KEYS)}.")
    symbols = mapping["symbols"]
    if not isinstance(symbols, list) or len(symbols) > _MAX_SYMBOLS:
        raise VocabularyError(f"{where}: 'symbols' must be a list of at most {_MAX_SYMBOLS} texts.")
    for symbol in symbols:
        if not isinstance(symbol, str):
            raise VocabularyError(f"{where}: the symbol {symbol!r} is not a text.")
    if not isinstance(mapping["kind"], str):
        raise VocabularyError(f"{where}: 'kind' must be a text, found {mapping['kind']!r}.")
    for key in ("pad", "start", "end", "unknown"):
        value = mapping[key]
        if type(value) is not int and (value is not None or key == "pad"):
            raise VocabularyError(f"{where}: {key!r} must be an id, found {value!r}.")

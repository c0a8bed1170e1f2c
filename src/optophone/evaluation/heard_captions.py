"""What a recogniser heard, kept line by line, so that a long evaluation that was stopped goes on where it was.

A file of JSON lines. `{"row": NAME, "key": {...}}` says what the lines called NAME were made with; every other line is
one utterance, `{"row": NAME, "item": ..., "picture": ..., "said": ..., "heard": ..., ...}`. Lines are only ever added.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError


@dataclass(frozen=True)
class Heard:
    """An utterance, and what was heard of it.

    Args:
        item: its name; that of the picture, or of a recording of it.
        picture: name of the picture that it is about.
        said: the words or the units that were said; "" where the system found nothing to say.
        heard: words with spaces between; "" where there were none.
        duration_s: seconds of sound.
        complete: whether the voice ended by itself.
        n_symbols: that the captioner wrote; 0 where there is none.
        ended: whether the captioner ended by itself, or None where nobody knows.
    """

    item: str
    picture: str
    said: str
    heard: str
    duration_s: float
    complete: bool
    n_symbols: int = 0
    ended: bool | None = None


class HeardCaptions:
    """The utterances of several rows of a result, each row with the key of what it was made with.

    Args:
        path: the file, which need not exist; None keeps nothing.
        earlier: of other results; their rows are taken over where they have the same key.

    Raises:
        DataError: the file cannot be read, or is no such file.
    """

    def __init__(self, path: Path | None, earlier: "Sequence[HeardCaptions]" = ()) -> None:
        self.path, self.earlier = path, earlier
        self._keys: dict[str, Any] = {}
        self._heard: dict[str, dict[str, Heard]] = {}
        self._is_torn = False
        if path is not None and path.exists():
            self._read(path)

    def begin(self, row: str, key: Mapping[str, Any]) -> dict[str, Heard]:
        """The utterances of `row` that were kept, by the name of the item.

        Args:
            row: its name.
            key: plain data that decides what is said and heard in this row; it is written down.

        Raises:
            DataError: what was kept was made with another key.
        """
        key = json.loads(json.dumps(key))  # as it is read again
        if row in self._keys and self._keys[row] != key:
            raise DataError(
                f"{self.path}: {row!r} was heard with another {_difference(self._keys[row], key)}; "
                "delete this file, or write the result elsewhere."
            )
        if row not in self._keys:
            self._keys[row] = key
            self._write({"row": row, "key": key})
        for heard in (heard for one in self.earlier for heard in one.kept(row, key)):
            if heard.item not in self._heard.get(row, {}):
                self.add(row, heard)
        return dict(self._heard.get(row, {}))

    def kept(self, row: str, key: Mapping[str, Any]) -> list[Heard]:
        """The utterances of `row`; none where they were made with another key."""
        return list(self._heard.get(row, {}).values()) if self._keys.get(row) == key else []

    def add(self, row: str, heard: Heard) -> None:
        """Keep an utterance; it is in the file when this returns."""
        assert row in self._keys, row
        self._heard.setdefault(row, {})[heard.item] = heard
        self._write({"row": row, **asdict(heard)})

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(("\n" if self._is_torn else "") + json.dumps(line, ensure_ascii=False) + "\n")
            self._is_torn = False
        except OSError as error:
            raise DataError(f"{self.path}: cannot keep what was heard ({error.strerror}).") from None

    def _read(self, path: Path) -> None:
        """Take over what is there; a line that a kill cut off is left out, and done again."""
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise DataError(f"{path}: cannot read what was heard ({error.strerror}).") from None
        self._is_torn = lines[-1] != ""
        for line in lines:
            try:
                content = json.loads(line)
            except ValueError:
                continue
            try:
                row = content.pop("row")
                if "key" in content:
                    self._keys[row] = content["key"]
                else:
                    self._heard.setdefault(row, {})[content["item"]] = Heard(**content)
            except (AttributeError, KeyError, TypeError):
                raise DataError(f"{path}: no file of heard captions; write the result elsewhere.") from None


def _difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The names of what differs."""
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return " and ".join(names)

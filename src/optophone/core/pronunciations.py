"""How words are said: a pronouncing dictionary that spells text in phones for a voice that has learned them."""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from optophone.core.bundle import Bundle
from optophone.core.errors import BundleError
from optophone.core.text import ARPABET, split_phones
from optophone.core.vocabulary import Vocabulary

PRONUNCIATIONS_FILE = "pronunciations.txt"
_MOST_BYTES = 64 * 2**20
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")  # of cleaned text, that can be looked up
_PHONES = frozenset(ARPABET)
_HISSING = ("S", "Z", "SH", "ZH", "CH", "JH")
_VOICELESS = ("P", "T", "K", "F", "TH")


class Pronunciations:
    """Words and their phones, looked up without being read as a whole: 100,000 of them are ready in milliseconds.

    Args:
        content: lines `word PHONE PHONE`, lower case and ARPAbet, sorted as bytes are; before them perhaps lines that
            begin with "#", such as whose dictionary it is.
        origin: file, for messages.
    """

    def __init__(self, content: bytes, origin: str = PRONUNCIATIONS_FILE) -> None:
        self.content = content
        self.origin = origin

    @classmethod
    def of(
        cls, words: Mapping[str, str], notice: Sequence[str] = (), origin: str = PRONUNCIATIONS_FILE
    ) -> "Pronunciations":
        """Those of `words`, each word's phones with spaces between, under the lines of `notice`."""
        lines = [f"# {line}".rstrip() for line in notice] + sorted(f"{word} {said}" for word, said in words.items())
        return cls("".join(line + "\n" for line in lines).encode(), origin)

    @classmethod
    def load(cls, path: Path) -> "Pronunciations":
        """Read the file of a bundle.

        Raises:
            BundleError: it is far too large for one.
        """
        if path.stat().st_size > _MOST_BYTES:
            raise BundleError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB, no pronouncing dictionary.")
        return cls(path.read_bytes(), str(path))

    @property
    def name(self) -> str:
        """Of its file."""
        return Path(self.origin).name

    @property
    def n_words(self) -> int:
        """How many there are."""
        return sum(bool(line) and not line.startswith(b"#") for line in self._lines)

    @cached_property
    def _lines(self) -> list[bytes]:
        return self.content.removesuffix(b"\n").split(b"\n")

    def phones(self, word: str) -> tuple[str, ...] | None:
        """The phones of `word`, lower case; None where it is not known. "Ann's" is known where "Ann" is.

        Raises:
            BundleError: the word's line is damaged.
        """
        start = word.encode() + b" "
        place = bisect_left(self._lines, start)
        if place < len(self._lines) and self._lines[place].startswith(start):
            found = tuple(self._lines[place][len(start) :].decode("ascii", "replace").split())
            if not found or not _PHONES.issuperset(found):
                raise BundleError(f"{self.origin}: damaged at {word!r}; download or export it again.")
            return found
        name = word.removesuffix("'s")
        return _of_its_own(self.phones(name)) if name != word else None

    def spell(self, text: str, wanted: Callable[[], bool] = lambda: True) -> str:
        """Cleaned `text` with words as inline phones, {HH AW1}: those that are known and for which `wanted` says so."""
        stretches = split_phones(text)
        stretches[::2] = [WORD.sub(lambda word: self._spell(word[0], wanted), part) for part in stretches[::2]]
        return "".join(stretches)

    def _spell(self, word: str, wanted: Callable[[], bool]) -> str:
        phones = self.phones(word)
        return "{" + " ".join(phones) + "}" if phones and wanted() else word


def _of_its_own(phones: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """`phones` of a name with the ending 's."""
    if phones is None:
        return None
    if phones[-1] in _HISSING:
        return (*phones, "IH0", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def pronunciations_of(bundle: Bundle, vocabulary: Vocabulary) -> Pronunciations | None:
    """The pronouncing dictionary in the bundle of a voice that reads `vocabulary`; None where it has none.

    Raises:
        BundleError: it has one, and the voice cannot read phones.
    """
    if PRONUNCIATIONS_FILE not in bundle.manifest.files:
        return None
    if not vocabulary.reads_phones:
        raise BundleError(
            f"{bundle.folder}: has {PRONUNCIATIONS_FILE}, but its voice reads no phones; export it again."
        )
    return Pronunciations.load(bundle.file(PRONUNCIATIONS_FILE))

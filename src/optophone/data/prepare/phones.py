"""A data set of speech with words spelled in phones: its text reads "the {M AE1 N} jumps.", its sound is the same.

A voice that learns from both spellings reads both, and one word in phones among letters (Kastner et al. 2019,
"Representation Mixing for TTS Synthesis"). The phones are what espeak-ng would say, in ARPAbet, or a dictionary's.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from optophone.core.errors import DataError
from optophone.core.espeak import Espeak, EspeakConfig
from optophone.core.ipa import arpabet
from optophone.core.pronouncing_dictionary import read_pronunciations
from optophone.core.text import clean_text, end_sentence, has_phones
from optophone.data.espeak import load_espeak
from optophone.data.manifest import Dataset, Row, read_dataset, write_manifest
from optophone.data.phones import VOICE
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress

_BETWEEN_CLAUSES = re.compile(r"(\s-\s|[,.;:!?()]+)")
_STRESS = "ˈˌ"


class WordSpeller(Protocol):
    """Who knows the phones of words."""

    @property
    def name(self) -> str:
        """What it is called where the data are described."""
        ...

    def spell(self, text: str, wanted: Callable[[], bool]) -> str:
        """Cleaned `text` with those words in phones for which `wanted` says so, of those whose phones are found."""
        ...


def prepare_phones(
    source: str | Path, out: str | Path, share: float = 1.0, seed: int = 0, pronunciations: Path | None = None
) -> Dataset:
    """Write `out`: the rows of the prepared speech data set `source` with words of their texts in phones.

    Rows keep their ids and sounds, which stay where they are; "speaker" is written out. Clauses in which it cannot be
    told whose phones are whose keep their letters, and so do words with phones that English has not; rows without any
    phones are left out. Does nothing where `out` is finished.

    Args:
        source: a folder written by `optophone prepare`, whose rows have text.
        out: the folder to write.
        share: of the words that are spelled in phones, at random; 1 for all that can be.
        seed: another number draws others.
        pronunciations: a dictionary, see `read_pronunciations`, that spells instead of espeak-ng.

    Raises:
        DataError: `source` is no such data set, the share is none, espeak-ng is missing or the dictionary is none, or
            `out` holds something else.
    """
    source, out = Path(source), Path(out)
    if not 0 < share <= 1:
        raise DataError(f"share {share}: give more than 0, at most 1.")
    spoken = read_dataset(source)
    dictionary = read_pronunciations(pronunciations) if pronunciations else None
    spelled_by = {"pronunciations": sha256(dictionary.content).hexdigest()} if dictionary else {"voice": VOICE}
    options = {"share": share, "seed": seed, **spelled_by, "speech": spoken.hash()}
    preparation = Preparation(f"{spoken.name}-phones", source, out, options)
    finished = preparation.begin()
    if finished:
        return finished
    speller: WordSpeller = dictionary or Speller(load_espeak(EspeakConfig(VOICE)))
    n_rows = 0
    for split in spoken.splits:
        rows = [row for row in spoken.rows(split) if row.get("text")]
        drawn = np.random.default_rng((seed, len(rows)))
        spelled = show_progress(_spell(rows, speller, share, drawn), len(rows), f"phones of {split}")
        kept = [{**row, "speaker": row.get("speaker") or spoken.name} for row in spelled if has_phones(row["text"])]
        n_rows += write_manifest(out / f"{split}.jsonl", kept)
    if not n_rows:
        raise DataError(f"{source}: no row has a text that can be spelled in phones.")
    layout = f"{spoken.name}, spelled by {speller.name}"
    return preparation.finish(list(spoken.splits), layout, spoken.licence, {"audio": spoken.root("audio").resolve()})


def _spell(rows: list[Row], speller: WordSpeller, share: float, drawn: np.random.Generator) -> Iterator[Row]:
    for row in rows:
        yield {**row, "text": speller.spell(end_sentence(clean_text(row["text"])), lambda: drawn.random() < share)}


class Speller:
    """Finds the phones of each word of a text, said in its sentence ("a" is not said as the letter is)."""

    def __init__(self, espeak: Espeak) -> None:
        self.espeak = espeak
        self._alone = lru_cache(maxsize=None)(self._say_alone)

    @property
    def name(self) -> str:
        """The program and its version."""
        return f"espeak-ng {self.espeak.version}"

    def spell(self, text: str, wanted: Callable[[], bool]) -> str:
        """Cleaned `text` with those words in phones for which `wanted` says so, of those whose phones are found."""
        if has_phones(text):
            return text
        clauses = _BETWEEN_CLAUSES.split(text)
        clauses[::2] = [self._spell_clause(clause, wanted) for clause in clauses[::2]]
        return "".join(clauses)

    def _spell_clause(self, clause: str, wanted: Callable[[], bool]) -> str:
        words = clause.split()
        groups = self._share_out(words, self.espeak.phones(clause)) if words else None
        if groups is None:
            return clause
        before, after = clause[: len(clause) - len(clause.lstrip())], clause[len(clause.rstrip()) :]
        return before + " ".join(_in_phones(*group) if wanted() else group[0] for group in groups) + after

    def _share_out(self, words: list[str], said: list[list[str]]) -> list[tuple[str, list[str]]] | None:
        """Which of `words` each word that espeak-ng said stands for; None where that cannot be told.

        Some pairs are said as one word, "in the". Then what is left of it before its second word is the first.
        """
        groups: list[tuple[str, list[str]]] = []
        place = 0
        for number, phones in enumerate(said):
            if place >= len(words):
                return None
            n_missing = (len(words) - place) - (len(said) - number)
            last = self._alone(words[place + 1]) if n_missing > 0 and place + 1 < len(words) else ()
            if last and len(phones) > len(last) and _unstressed(phones[-len(last) :]) == _unstressed(last):
                groups += [(words[place], phones[: -len(last)]), (words[place + 1], phones[-len(last) :])]
                place += 2
            else:
                groups.append((words[place], phones))
                place += 1
        return groups if place == len(words) else None

    def _say_alone(self, word: str) -> tuple[str, ...]:
        return tuple(phone for phones in self.espeak.phones(word) for phone in phones)


def _unstressed(phones: list[str] | tuple[str, ...]) -> list[str]:
    return [phone.lstrip(_STRESS) for phone in phones]


def _in_phones(word: str, said: list[str]) -> str:
    """`word` as inline phones; as it is where they are none of English."""
    try:
        return "{" + " ".join(arpabet(said)) + "}"
    except DataError:
        return word

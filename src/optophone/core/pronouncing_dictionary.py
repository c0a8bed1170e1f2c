"""A pronouncing dictionary as people write them, in the format of the CMU one, for voices to speak by."""

import re
from collections.abc import Iterator
from pathlib import Path

from optophone.core.errors import DataError
from optophone.core.pronunciations import WORD, Pronunciations
from optophone.core.text import ARPABET

# A dictionary tells how a word is said by itself. In a sentence these are said weakly, and so has a voice heard them:
# without stress, some with another vowel (Cruttenden 2014, "Gimson's Pronunciation of English", chapter 11).
_WEAK_FORMS = """
a AH0/am AE0 M/an AH0 N/and AE0 N D/are AA0 R/as AE0 Z/at AE0 T/be B IY0/been B IH0 N/but B AH0 T/by B AY0/can K AE0 N/
could K UH0 D/for F AO0 R/from F R AH0 M/had HH AE0 D/has HH AE0 Z/have HH AE0 V/he HH IY0/her HH ER0/him HH IH0 M/
his HH IH0 Z/if IH0 F/in IH0 N/into IH0 N T UH0/is IH0 Z/it IH0 T/its IH0 T S/me M IY0/my M AY0/nor N AO0 R/of AH0 V/
on AO0 N/or AO0 R/our AW0 ER0/she SH IY0/should SH UH0 D/so S OW0/than DH AH0 N/that DH AE0 T/the DH AH0/their DH EH0 R/
them DH EH0 M/there DH EH0 R/these DH IY0 Z/they DH EY0/this DH IH0 S/those DH OW0 Z/to T AH0/us AH0 S/was W AH0 Z/
we W IY0/were W ER0/when W EH0 N/which W IH0 CH/who HH UW0/will W IH0 L/with W IH0 DH/would W UH0 D/you Y UW0/
your Y AO0 R
"""
WEAK: dict[str, str] = dict(entry.strip().split(" ", 1) for entry in _WEAK_FORMS.split("/"))
_COMMENTS = ("#", ";;;")
_COMMENT = re.compile("|".join(_COMMENTS))
_VARIANT = re.compile(r"\(\d+\)$")
_PHONES = frozenset(ARPABET)


def read_pronunciations(path: Path) -> Pronunciations:
    """Read a dictionary: lines `word PHONE PHONE`, in ARPAbet with stress on the vowels, comments after "#" or ";;;".

    Of several pronunciations, `word(2)`, the first is taken. Words that no cleaned text has ("'em", "a.m.") are left
    out, and short words of grammar are said weakly. Comments before the first word, which may tell whose dictionary it
    is and on what terms, are kept.

    Raises:
        DataError: it cannot be read, holds a line that is none, or no word at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no pronouncing dictionary ({' '.join(str(error).split())[:100]}).") from None
    words: dict[str, str] = {}
    for word, phones in _entries(text, path):
        if WORD.fullmatch(word):
            words.setdefault(word, phones)
    if not words:
        raise DataError(f"{path}: no pronouncing dictionary, it has no words; give lines such as: hello HH AH0 L OW1")
    weak = {word: WEAK[word] for word in WEAK.keys() & words.keys()}
    return Pronunciations.of({**words, **weak}, list(_notice(text)), str(path))


def _notice(text: str) -> Iterator[str]:
    """The comments at the head of a dictionary, without their marks."""
    for line in text.splitlines():
        if line and not line.startswith(_COMMENTS):
            return
        yield re.sub(_COMMENT, "", line, count=1).strip()


def _entries(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = re.split(_COMMENT, line, maxsplit=1)[0].split()
        if not fields:
            continue
        word, *phones = fields
        if not phones or not _PHONES.issuperset(phones):
            shown = " ".join(fields)[:40]
            raise DataError(f"{path}: line {number}, {shown!r}, is none; give lines such as: hello HH AH0 L OW1")
        yield _VARIANT.sub("", word.lower()), " ".join(phones)

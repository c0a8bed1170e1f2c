"""Pronunciations as people type them, in ARPAbet, for voices that read letters and phones."""

import re

from optophone.core.errors import TextError
from optophone.core.text import ARPABET

_PIECE = re.compile(r"[^\s,.;:!?|{}]+|[,.;:!?|{}]")
_PHONES = frozenset(ARPABET)


def spell_phonemes(text: str) -> str:
    """Text with inline phones, `{HH AH0 L OW1} {W ER1 L D}.`, of ARPAbet as it is typed.

    Args:
        text: phones between spaces, with stress digits on the vowels; words between "|" or each in braces; the
            punctuation ``,.;:!?`` stands for itself.

    Raises:
        TextError: something that is no ARPAbet symbol, or nothing at all.
    """
    words: list[list[str]] = [[]]
    parts: list[str] = []

    def end_word() -> None:
        if words[-1]:
            parts.append("{" + " ".join(words[-1]) + "}")
            words.append([])

    for piece in _PIECE.findall(text):
        if piece in "|{}":
            end_word()
        elif piece in ",.;:!?":
            end_word()
            parts[-1:] = [f"{parts[-1]}{piece}"] if parts else []
        elif piece.upper() in _PHONES:
            words[-1].append(piece.upper())
        else:
            raise TextError(f"{piece!r} is no ARPAbet phone; write for instance: HH AH0 L OW1 | W ER1 L D")
    end_word()
    if not parts:
        raise TextError("there are no phones to say; write for instance: HH AH0 L OW1 | W ER1 L D")
    return " ".join(parts)

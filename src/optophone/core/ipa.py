"""English in the International Phonetic Alphabet, as espeak-ng writes it, in ARPAbet."""

from collections.abc import Sequence

from optophone.core.errors import DataError

_STRESSES = {"ˈ": "1", "ˌ": "2"}
# espeak-ng's vowels of British and American English, without length marks; those before r bring the r along.
_VOWELS: dict[str, tuple[str, ...]] = {
    "ɑ": ("AA",), "ɒ": ("AA",), "æ": ("AE",), "a": ("AE",), "ɐ": ("AH",), "ʌ": ("AH",), "ə": ("AH",), "ɔ": ("AO",),
    "aʊ": ("AW",), "aɪ": ("AY",), "ɛ": ("EH",), "e": ("EH",), "ɚ": ("ER",), "ɜ": ("ER",), "eɪ": ("EY",), "ɪ": ("IH",),
    "ᵻ": ("IH",), "i": ("IY",), "oʊ": ("OW",), "əʊ": ("OW",), "o": ("OW",), "ɔɪ": ("OY",), "ʊ": ("UH",), "u": ("UW",),
    "aɪɚ": ("AY", "ER"), "aɪə": ("AY", "AH"), "aʊɚ": ("AW", "ER"), "aʊə": ("AW", "AH"), "iə": ("IY", "AH"),
    "ɪə": ("IH", "AH"), "eə": ("EH", "AH"), "ʊə": ("UH", "AH"), "əl": ("AH", "L"),
    "ɑɹ": ("AA", "R"), "ɔɹ": ("AO", "R"), "oɹ": ("AO", "R"), "ɛɹ": ("EH", "R"), "ɪɹ": ("IH", "R"), "ʊɹ": ("UH", "R"),
}  # fmt: skip
_CONSONANTS: dict[str, tuple[str, ...]] = {
    "b": ("B",), "tʃ": ("CH",), "d": ("D",), "ð": ("DH",), "f": ("F",), "ɡ": ("G",), "g": ("G",), "h": ("HH",),
    "dʒ": ("JH",), "k": ("K",), "l": ("L",), "ɫ": ("L",), "m": ("M",), "n": ("N",), "ŋ": ("NG",), "p": ("P",),
    "ɹ": ("R",), "r": ("R",), "s": ("S",), "ʃ": ("SH",), "t": ("T",), "θ": ("TH",), "v": ("V",), "w": ("W",),
    "j": ("Y",), "z": ("Z",), "ʒ": ("ZH",), "x": ("K",), "ɬ": ("L",), "ç": ("HH",),
    "ɾ": ("T",), "ʔ": ("T",), "n̩": ("AH0", "N"), "l̩": ("AH0", "L"), "m̩": ("AH0", "M"),
}  # fmt: skip
_LENGTH_AND_JOINS = str.maketrans("", "", "ːˑ͡ʰ̃")


def arpabet(phones: Sequence[str]) -> list[str]:
    """ARPAbet of a word whose `phones` espeak-ng gives, stress before the vowel: "ˈaɪɚ" is AY1 ER0.

    The flap and the glottal stop of American English become T, as the CMU pronouncing dictionary has most of them.

    Raises:
        DataError: a phone that English has not.
    """
    return [symbol for phone in phones for symbol in _symbols(phone)]


def _symbols(phone: str) -> tuple[str, ...]:
    plain = phone.translate(_LENGTH_AND_JOINS)
    stress = _STRESSES.get(plain[:1], "0")
    plain = plain.lstrip("".join(_STRESSES))
    if plain in _CONSONANTS:
        return _CONSONANTS[plain]
    if plain not in _VOWELS:
        raise DataError(f"{phone!r} is no phone of English, so ARPAbet has no symbol for it.")
    first, *rest = _VOWELS[plain]
    return (first + stress, *(symbol + "0" if symbol[0] in "AEIOU" else symbol for symbol in rest))

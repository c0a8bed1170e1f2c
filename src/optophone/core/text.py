"""One text cleaner for training and runtime, and the words of captions.

A voice speaks only what it was trained on, so the text a model learns from and the text a user types go through the
same `clean_text`. Its result holds nothing but a–z, the space, ``!'(),-.:;?`` and inline phones such as ``{HH AW1}``.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

_PHONES = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
ARPABET: tuple[str, ...] = tuple(
    phone + stress for phone in _PHONES for stress in (("", "0", "1", "2") if phone[0] in "AEIOU" else ("",))
)
"""The 84 phone symbols of the CMU pronouncing dictionary, in its order: vowels plain and with stress 0, 1, 2."""

_ANY_PHONE = f"(?:{'|'.join(sorted(ARPABET, reverse=True))})"
_INLINE_PHONES = re.compile(rf"(\{{\s*{_ANY_PHONE}(?:\s+{_ANY_PHONE})*\s*\}})")

_TO_ASCII = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'",
        "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "″": '"',
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "−": "-", "—": " - ", "―": " - ",
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
        "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "ng",
        "½": " 1/2 ", "⅓": " 1/3 ", "⅔": " 2/3 ", "¼": " 1/4 ", "¾": " 3/4 ", "⁄": "/",
        "×": "x", "÷": " divided by ", "°": " degrees ", "©": "", "®": "", "™": "", "·": " ", "•": " ",
        "\u00ad": "", "\u200b": "", "\ufeff": "",
    }
)  # fmt: skip

_CURRENCY_SIGNS = "£€¥"
_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
}

# The 18 abbreviations of LJSpeech. "misess" is how the public voices were trained to read "Mrs.".
ABBREVIATIONS: dict[str, str] = {
    "mrs": "misess", "mr": "mister", "dr": "doctor", "st": "saint", "co": "company", "jr": "junior", "maj": "major",
    "gen": "general", "drs": "doctors", "rev": "reverend", "lt": "lieutenant", "hon": "honorable",
    "sgt": "sergeant", "capt": "captain", "esq": "esquire", "ltd": "limited", "col": "colonel", "ft": "fort",
}  # fmt: skip
_ABBREVIATION = re.compile(rf"\b({'|'.join(sorted(ABBREVIATIONS, key=len, reverse=True))})\.")

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("", "thousand", "million", "billion", "trillion")
_IRREGULAR_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_MOST_DIGITS = 3 * len(_SCALES)

_TIME = re.compile(r"(?<![\d:.])(\d|[01]\d|2[0-3]):([0-5]\d)(?![\d:])")
_FRACTION_WORDS = {
    "1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters",
}  # fmt: skip
_FRACTION = re.compile(r"(?<![\d/.,])(?:(\d+) +)?(?<![\d/.,])(\d+/\d+)(?![\d/])")
_NUMBER = re.compile(
    r"""
    (?P<sign>(?<![\w)\-.])-(?=[$£€¥]?\d))?
    (?:(?<!\d)(?P<currency>[$£€¥])\ ?)?
    (?:(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.(?P<decimals>\d+(?:\.\d+)*))?|(?<![\w.])\.(?P<bare_decimals>\d+))
    (?:(?P<ordinal>st|nd|rd|th)(?![a-z])|(?P<plural>s)(?![a-z])|(?P<percent>\ ?%)
      |\ (?P<scale>hundred|thousand|million|billion|trillion)\b)?
    """,
    re.VERBOSE,
)
_SPOKEN_SYMBOLS = {
    "&": " and ", "%": " percent ", "+": " plus ", "=": " equals ", "@": " at ", "$": " dollars ", "£": " pounds ",
    "€": " euros ", "¥": " yen ", '"': "",
}  # fmt: skip
_SPOKEN_SYMBOL = re.compile("[" + re.escape("".join(_SPOKEN_SYMBOLS)) + "]")

_CLITIC = r"'(?:s|m|d|ll|re|ve)|n't"
_CLITIC_APART = re.compile(rf"(?<=[^\s]) +({_CLITIC})(?![\w'])")
_CLITIC_JOINED = re.compile(rf"(?<=[a-z0-9])({_CLITIC})(?![\w'])")
_CAPTION_TOKEN = re.compile(rf"(?:{_CLITIC})(?![\w'])|(?:[a-z]\.){{2,}}|\d+(?:[.,:]\d+)+|[a-z0-9]+(?:[-'][a-z0-9]+)*")

_SPOKEN_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_CLITIC_SPACED = re.compile(r" +'(?=(?:s|t|re|ve|ll|d|m)\b)")  # captions may have "the man 's hat"

_SENTENCE_END = re.compile(r"(?<![.!?])[.!?]+[\"')\]]*(?=\s)|\n[ \t]*\n")
_CLAUSE_END = re.compile(r"(?<![,;:])[,;:]+[\"')\]]*(?=\s)|\)(?=\s)|(?<=\s)-(?=\s)")


def clean_text(text: str) -> str:
    """What a voice is given to read: ASCII, lower case, numbers and abbreviations as words, single spaces.

    Numbers follow Keith Ito's Tacotron cleaners, on which the public LJSpeech checkpoints were trained: 1850 is
    "eighteen fifty", 1,850 is "one thousand, eight hundred fifty"; decimals are read digit by digit. Characters that no
    voice can speak are dropped, so the result may be empty. Inline phones (``{HH AW1}``) pass through unchanged.
    """
    parts = split_phones(text)
    parts[::2] = [_clean_plain(part) for part in parts[::2]]
    return " ".join("".join(parts).split())


def end_sentence(text: str) -> str:
    """Cleaned `text` with a full stop where it has no end of its own.

    A voice that has only ever heard finished sentences goes on babbling after an unfinished one, so training and
    runtime both give it sentences that end. Blank text stays as it is.
    """
    text = text.rstrip(" ,;:-")
    return text if not text or text[-1] in ".!?)\"'}" else text + "."


def has_phones(text: str) -> bool:
    """Whether `text` holds inline phones such as ``{HH AW1}``."""
    return _INLINE_PHONES.search(text) is not None


def split_phones(text: str) -> list[str]:
    """`text` cut at its inline phones: letters, phones, letters and so on, the first and the last being letters."""
    return _INLINE_PHONES.split(text)


def to_ascii(text: str, keep: str = "") -> str:
    """`text` in ASCII: accents off, quotes and dashes plain, ß and æ spelled; what has no spelling is dropped.

    Args:
        text: any text.
        keep: non-ASCII characters that stay.
    """
    letters = []
    for letter in unicodedata.normalize("NFKD", text.translate(_TO_ASCII)).translate(_TO_ASCII):
        if letter.isascii() or letter in keep:
            letters.append(letter)
        elif letter.isspace():
            letters.append(" ")
        elif (digit := unicodedata.decimal(letter, None)) is not None:
            letters.append(str(digit))
    return "".join(letters)


def spell_integer(number: int) -> str:
    """`number`, 0 to 999 trillion, in words: 1234 is "one thousand, two hundred thirty-four"."""
    assert 0 <= number < 10**_MOST_DIGITS
    if number == 0:
        return _ONES[0]
    groups = []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(f"{_spell_below_thousand(group)} {scale}".strip())
    return ", ".join(reversed(groups))


def spell_ordinal(number: int) -> str:
    """`number` as an ordinal: 22 is "twenty-second"."""
    head, separator, last = _split_last_word(spell_integer(number))
    if last in _IRREGULAR_ORDINALS:
        return head + separator + _IRREGULAR_ORDINALS[last]
    return head + separator + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def split_sentences(text: str, max_characters: int) -> list[str]:
    """Cut `text` into pieces of at most `max_characters` to be spoken one by one.

    Every sentence is a piece of its own. A sentence that is too long is cut after clauses, then between words, and a
    word that is too long is cut where it must be. Only white space is lost; inline phones stay whole, even above
    `max_characters`.

    Returns:
        Pieces without surrounding white space, none empty; an empty list for blank text.
    """
    assert max_characters >= 1
    pieces: list[str] = []
    for sentence in _cut_after(text, _SENTENCE_END, _ends_sentence):
        if len(sentence) <= max_characters:
            pieces.append(sentence)
        else:
            pieces.extend(_fit_sentence(sentence, max_characters))
    return pieces


def tokenize_caption(text: str) -> list[str]:
    """The lower-case words of a caption, without punctuation, as captions are counted for training and for BLEU.

    The result is that of the Penn Treebank tokenizer after punctuation is removed, which COCO's caption metrics use:
    hyphenated words stay whole ("t-shirt"), a possessive or contracted verb is a word of its own ("dog's" is "dog",
    "'s"; "isn't" is "is", "n't"), dotted letters stay together ("u.s."). Two things differ, because the words are
    spoken later: letters become ASCII, and "&" becomes "and".
    """
    plain = to_ascii(text).lower().replace("&", " and ")
    return _CAPTION_TOKEN.findall(_CLITIC_JOINED.sub(r" \1", plain))


def spoken_words(text: str) -> list[str]:
    """The words that a voice says for `text`: cleaned as for speech, without punctuation, hyphens opened."""
    return _SPOKEN_WORD.findall(_CLITIC_SPACED.sub("'", clean_text(text)))


def detokenize(words: Sequence[str]) -> str:
    """A readable line of caption words: "a", "dog", "'s", "ball" is "a dog's ball". `tokenize_caption` undoes it."""
    return _CLITIC_APART.sub(r"\1", " ".join(words))


def _clean_plain(text: str) -> str:
    text = re.sub(r"\s+", " ", to_ascii(text, keep=_CURRENCY_SIGNS).lower())
    text = _ABBREVIATION.sub(lambda match: ABBREVIATIONS[match[1]], _spell_numbers(text))
    text = _SPOKEN_SYMBOL.sub(lambda match: _SPOKEN_SYMBOLS[match[0]], text)
    text = re.sub(r"[^a-z!'(),\-.:;?]+", " ", text)
    text = re.sub(r" +([,.;:!?)])", r"\1", text)
    text = re.sub(r"([,;:!?])(?=[a-z(])|(\.)(?=[a-z]{2})", r"\1\2 ", text)
    return _CLITIC_APART.sub(r"\1", text)


def _spell_numbers(text: str) -> str:
    text = _TIME.sub(_say_time, text)
    text = re.sub(r"(?<=\d)-(?=\d)", " ", text)  # 1939-1945 is two numbers, not a subtraction
    text = re.sub(r"#(?=\d)", "number ", text)
    text = _FRACTION.sub(_say_fraction, text)
    return _NUMBER.sub(_say_number, text)


def _say_time(match: re.Match[str]) -> str:
    hour, minute = spell_integer(int(match[1])), int(match[2])
    if minute == 0:
        return f"{hour} o'clock"
    return f"{hour} {'oh ' if minute < 10 else ''}{spell_integer(minute)}"


def _say_fraction(match: re.Match[str]) -> str:
    whole = f"{match[1]} and " if match[1] else ""
    return whole + _FRACTION_WORDS.get(match[2], match[2].replace("/", " over "))


def _say_number(match: re.Match[str]) -> str:
    words = _number_words(match)
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    words = ("minus " if match["sign"] else "") + words
    return (" " if before.isalpha() else "") + words + (" " if after.isalpha() else "")


def _number_words(match: re.Match[str]) -> str:
    whole = match["whole"] or ""
    decimals = match["decimals"] or match["bare_decimals"] or ""
    scale = f" {match['scale']}" if match["scale"] else ""
    if match["currency"] and not (match["ordinal"] or match["plural"] or match["percent"]):
        return _say_money(match["currency"], whole, decimals, scale)
    if match["ordinal"] and not decimals and len(_digits(whole)) <= _MOST_DIGITS:
        return spell_ordinal(int(_digits(whole)))
    plain = not (decimals or match["percent"] or scale or match["sign"])
    words = _say_year(int(whole)) if plain and _is_year(whole) else _say_decimal(whole, decimals)
    if match["plural"]:
        return _plural(words)
    return words + (" percent" if match["percent"] else "") + scale + (match["ordinal"] or "")


def _say_money(currency: str, whole: str, decimals: str, scale: str) -> str:
    one, many, small_one, small_many = _MONEY[currency]
    if scale or len(decimals) > 2 or (decimals and not small_one):
        return f"{_say_decimal(whole, decimals)}{scale} {many}"
    cents = int(decimals.ljust(2, "0")) if decimals else 0
    parts = []
    if _digits(whole).strip("0") or not cents:
        parts.append(f"{_say_decimal(whole, '')} {one if _digits(whole) == '1' else many}")
    if cents:
        parts.append(f"{spell_integer(cents)} {small_one if cents == 1 else small_many}")
    return ", ".join(parts)


def _say_decimal(whole: str, decimals: str) -> str:
    digits = _digits(whole)
    if not digits:
        words = ""
    elif len(digits) > _MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        words = _say_digits(digits)
    else:
        words = spell_integer(int(digits))
    return f"{words} point {_say_digits(decimals)}".strip() if decimals else words


def _is_year(whole: str) -> bool:
    return len(whole) == 4 and whole.isdigit() and 1000 < int(whole) < 3000


def _say_year(number: int) -> str:
    century, rest = divmod(number, 100)
    if 2000 <= number < 2010:
        return spell_integer(number).replace(",", "")
    if rest == 0:
        return f"{spell_integer(century)} hundred"
    return f"{spell_integer(century)} {'oh ' if rest < 10 else ''}{spell_integer(rest)}"


def _plural(words: str) -> str:
    head, separator, last = _split_last_word(words)
    if last.endswith("y"):
        last = last[:-1] + "ies"
    else:
        last += "es" if last.endswith("x") else "s"
    return head + separator + last


def _split_last_word(words: str) -> tuple[str, str, str]:
    start = max(words.rfind(" "), words.rfind("-"))
    return words[: max(start, 0)], words[start : start + 1] if start >= 0 else "", words[start + 1 :]


def _digits(number: str) -> str:
    return number.replace(",", "")


def _say_digits(digits: str) -> str:
    return " ".join("point" if digit == "." else _ONES[int(digit)] for digit in digits)


def _spell_below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    if 0 < rest < 20:
        words.append(_ONES[rest])
    elif rest:
        tens, ones = divmod(rest, 10)
        words.append(_TENS[tens] + (f"-{_ONES[ones]}" if ones else ""))
    return " ".join(words)


def _ends_sentence(text: str, end: int) -> bool:
    """Whether the full stop before `end` closes a sentence, not an abbreviation or a person's initial."""
    word = re.search(r"(\w+)\.\Z", text[max(0, end - 12) : end])
    return word is None or not (word[1].lower() in ABBREVIATIONS or (len(word[1]) == 1 and word[1].isupper()))


def _cut_after(text: str, pattern: re.Pattern[str], accept: Callable[[str, int], bool] | None = None) -> Iterator[str]:
    """The stripped, non-empty stretches of `text` that end with `pattern` where `accept(text, end)` holds."""
    start = 0
    for match in pattern.finditer(text):
        if accept is None or accept(text, match.end()):
            if piece := text[start : match.end()].strip():
                yield piece
            start = match.end()
    if piece := text[start:].strip():
        yield piece


def _fit_sentence(sentence: str, max_characters: int) -> Iterator[str]:
    """Clauses joined into pieces as long as allowed; a clause that is too long is cut between words, by itself."""
    fitting: list[str] = []
    for clause in _cut_after(sentence, _CLAUSE_END):
        if len(clause) <= max_characters:
            fitting.append(clause)
            continue
        yield from _pack(fitting, max_characters)
        fitting = []
        yield from _pack(_words(clause, max_characters), max_characters)
    yield from _pack(fitting, max_characters)


def _pack(parts: Iterable[str], max_characters: int) -> Iterator[str]:
    """Join `parts` with spaces into pieces as long as allowed."""
    piece = ""
    for part in parts:
        if piece and len(piece) + 1 + len(part) > max_characters:
            yield piece
            piece = part
        else:
            piece = f"{piece} {part}" if piece else part
    if piece:
        yield piece


def _words(clause: str, max_characters: int) -> Iterator[str]:
    """The words of `clause`, those that are too long in slices; inline phones whole."""
    for stretch in split_phones(clause):
        if _INLINE_PHONES.fullmatch(stretch):
            yield stretch
            continue
        for word in stretch.split():
            yield from (word[i : i + max_characters] for i in range(0, len(word), max_characters))

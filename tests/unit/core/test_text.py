"""The text cleaner, sentence splitting and caption tokens."""

import time
from pathlib import Path

import pytest

from optophone.core.text import (
    ABBREVIATIONS,
    ARPABET,
    clean_text,
    detokenize,
    end_sentence,
    spell_integer,
    spell_ordinal,
    split_sentences,
    to_ascii,
    tokenize_caption,
)
from optophone.core.vocabulary import tacotron2_characters


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (7, "seven"),
        (10, "ten"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (105, "one hundred five"),
        (342, "three hundred forty-two"),
        (1000, "one thousand"),
        (1234, "one thousand, two hundred thirty-four"),
        (20_000, "twenty thousand"),
        (1_000_001, "one million, one"),
        (7_000_000_000, "seven billion"),
        (12_000_000_000_012, "twelve trillion, twelve"),
    ],
)
def test_spells_integers(number: int, words: str) -> None:
    assert spell_integer(number) == words


def test_every_number_below_ten_thousand_has_its_own_words() -> None:
    assert len({spell_integer(number) for number in range(10_000)}) == 10_000
    assert len({spell_ordinal(number) for number in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"),
        (2, "second"),
        (3, "third"),
        (5, "fifth"),
        (8, "eighth"),
        (9, "ninth"),
        (12, "twelfth"),
        (20, "twentieth"),
        (22, "twenty-second"),
        (100, "one hundredth"),
        (111, "one hundred eleventh"),
        (1000, "one thousandth"),
    ],
)
def test_spells_ordinals(number: int, words: str) -> None:
    assert spell_ordinal(number) == words


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        # white space and case
        ("  A\tDog\n runs  ", "a dog runs"),
        ("", ""),
        ("   ", ""),
        # to ASCII
        ("Café “naïve” – œuvre Straße ÆSIR Łódź", "cafe naive - oeuvre strasse aesir lodz"),
        ("it’s … fine", "it's... fine"),
        ("one—two", "one - two"),
        ("日本 😀", ""),
        ("fi ﬁ Ａ", "fi fi a"),
        # integers and years
        ("1 dog, 12 cats", "one dog, twelve cats"),
        ("1,234 and 1,000,000", "one thousand, two hundred thirty-four and one million"),
        ("In 1850", "in eighteen fifty"),
        ("1905 1066 2010", "nineteen oh five ten sixty-six twenty ten"),
        ("1000 2000 3000", "one thousand two thousand three thousand"),
        ("2005 1100 1900", "two thousand five eleven hundred nineteen hundred"),
        ("1,905", "one thousand, nine hundred five"),
        ("in the 1950s and 1900s", "in the nineteen fifties and nineteen hundreds"),
        ("80s 6s 5s", "eighties sixes fives"),
        ("1939-1945", "nineteen thirty-nine nineteen forty-five"),
        ("007", "zero zero seven"),
        ("٣ dogs", "three dogs"),
        ("-5 and 3-4", "minus five and three four"),
        ("1,2,3", "one, two, three"),
        ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
        # ordinals
        ("1st 2nd 3rd 22nd 30th", "first second third twenty-second thirtieth"),
        ("the 1,000th", "the one thousandth"),
        # decimals
        ("3.14", "three point one four"),
        ("0.5 .5 1,234.05", "zero point five point five one thousand, two hundred thirty-four point zero five"),
        ("version 1.2.3", "version one point two point three"),
        ("It has 5.", "it has five."),
        # money
        ("$1", "one dollar"),
        ("$3.50", "three dollars, fifty cents"),
        ("$0.05", "five cents"),
        ("$1.01", "one dollar, one cent"),
        ("$0", "zero dollars"),
        ("£68,728", "sixty-eight thousand, seven hundred twenty-eight pounds"),
        ("£1.50 £0.01", "one pound, fifty pence one penny"),
        ("€20 ¥500 ¥1", "twenty euros five hundred yen one yen"),
        ("20€", "twenty euros"),
        ("$2 million £1.5 billion", "two million dollars one point five billion pounds"),
        ("-$5", "minus five dollars"),
        ("$1.234", "one point two three four dollars"),
        # percent, symbols
        ("50% or 2.5 %", "fifty percent or two point five percent"),
        ("you & me + 2 = 3 @ home", "you and me plus two equals three at home"),
        ("#1 #dog", "number one dog"),
        ("20°", "twenty degrees"),
        ("a_b [x] {y} ~ ^ | \\ / * < >", "a b x y"),
        # time, fractions
        ("at 4:30, 4:05 and 4:00", "at four thirty, four oh five and four o'clock"),
        ("½ of 3/4, 2½, 5/8", "one half of three quarters, two and one half, five over eight"),
        # letters beside digits
        ("4-wheeler K2 mp3 4x4", "four-wheeler k two mp three four x four"),
        # abbreviations
        ("Mr. and Mrs. Smith", "mister and misess smith"),
        ("Dr. Jones Jr.", "doctor jones junior"),
        ("Mr Smith mist. attic.", "mr smith mist. attic."),
        # captions come with spaces before punctuation
        ("A dog 's ball is n't here .", "a dog's ball isn't here."),
        ("Hello,world.Next", "hello, world. next"),
        # inline phones
        ("Say {HH AH0 L OW1} now", "say {HH AH0 L OW1} now"),
        ("{hello} {QQ}", "hello qq"),
    ],
)
def test_cleans_text(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_knows_the_eighteen_abbreviations() -> None:
    assert len(ABBREVIATIONS) == 18
    for short, spoken in ABBREVIATIONS.items():
        assert clean_text(f"x {short.capitalize()}. y") == f"x {spoken} y"


def test_cleaning_twice_changes_nothing() -> None:
    text = "Mr. O’Neil paid $3.50 (50%) on the 22nd, 1905—for {HH AW1} & more… “quite”"
    assert clean_text(clean_text(text)) == clean_text(text)


def test_what_is_cleaned_can_be_spoken() -> None:
    """Whatever is typed, the public Tacotron 2 symbols hold all of the result."""
    everything = "".join(chr(code) for code in range(0x3000) if not 0xD800 <= code < 0xE000)
    tacotron2_characters().encode(clean_text(everything))
    for letter in everything:
        tacotron2_characters().encode(clean_text(f"a{letter}1{letter} {letter}b"))


def test_to_ascii_keeps_what_it_is_told_to() -> None:
    assert to_ascii("£5 für €6", keep="€") == "5 fur €6"


def test_arpabet_is_that_of_the_cmu_dictionary() -> None:
    assert len(ARPABET) == len(set(ARPABET)) == 84
    assert ARPABET[:5] == ("AA", "AA0", "AA1", "AA2", "AE")
    assert ARPABET[-2:] == ("Z", "ZH")


def test_splits_at_sentence_ends() -> None:
    text = "A dog runs. Is it fast? Yes!  It is 3.5 years old.\n\nNo full stop\n\nthe end"
    assert split_sentences(text, 100) == [
        "A dog runs.", "Is it fast?", "Yes!", "It is 3.5 years old.", "No full stop", "the end",
    ]  # fmt: skip


def test_abbreviations_and_initials_do_not_end_a_sentence() -> None:
    assert split_sentences("Mr. J. Smith met Dr. Who. He ran.", 100) == ["Mr. J. Smith met Dr. Who.", "He ran."]


def test_closing_quotes_stay_with_their_sentence() -> None:
    assert split_sentences('He said "stop." Then he went (home.) So.', 100) == [
        'He said "stop."', "Then he went (home.)", "So.",
    ]  # fmt: skip


def test_long_sentences_are_cut_at_clauses_then_words() -> None:
    text = "a dog runs, a cat sleeps; two very small children play in the snow"
    assert split_sentences(text, 30) == ["a dog runs, a cat sleeps;", "two very small children play", "in the snow"]


def test_clauses_are_packed_as_long_as_allowed() -> None:
    assert split_sentences("one, two, three, four, five, six.", 12) == ["one, two,", "three, four,", "five, six."]


@pytest.mark.parametrize("most", [1, 2, 7, 20, 1000])
def test_splitting_loses_only_white_space(most: int) -> None:
    text = "Mr. Smith went; J. Doe (who, maybe) is... here! wwwwwwwwwwwwwwwwwwwwwwwwwww - and \n\n (so) on,and on .. "
    pieces = split_sentences(text, most)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= most for piece in pieces)
    assert all(piece == piece.strip() for piece in pieces)


def test_inline_phones_are_not_cut() -> None:
    assert split_sentences("say {HH AH0 L OW1} to me", 8) == ["say", "{HH AH0 L OW1}", "to me"]


@pytest.mark.parametrize("text", ["", "  \n "])
def test_nothing_splits_into_nothing(text: str) -> None:
    assert split_sentences(text, 10) == []


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A Dog runs .", "a dog runs"),
        ("A man's dog, and a dog 's ball!", "a man 's dog and a dog 's ball"),
        ("The boys' toys", "the boys toys"),
        ("It isn't, can't and won't", "it is n't ca n't and wo n't"),
        ("they're I'll he'd we've I'm", "they 're i 'll he 'd we 've i 'm"),
        ("A t-shirt - a tri-colored one -- really", "a t-shirt a tri-colored one really"),
        ("'quoted' \"words\" (here); [there]: {so}", "quoted words here there so"),
        ("the U.S. flag. ok", "the u.s. flag ok"),
        ("3,000 people, 4.5 m, 4x4", "3,000 people 4.5 m 4x4"),
        ("rock'n'roll at one o'clock", "rock'n'roll at one o'clock"),
        ("black & white / grey", "black and white grey"),
        ("un Café", "un cafe"),
        ("", ""),
        ("...", ""),
    ],
)
def test_tokenizes_captions(caption: str, words: str) -> None:
    assert tokenize_caption(caption) == words.split()


def test_detokenizes_readably() -> None:
    assert detokenize(["a", "dog", "'s", "ball", "is", "n't", "red"]) == "a dog's ball isn't red"
    assert detokenize([]) == ""
    assert detokenize(["'s"]) == "'s"


@pytest.mark.shared_data
def test_round_trip_of_every_flickr8k_caption(shared_dir: Path) -> None:
    lines = (shared_dir / "data/flickr8k/Flickr8k_text/Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        words = tokenize_caption(line.partition("\t")[2])
        assert tokenize_caption(detokenize(words)) == words


@pytest.mark.parametrize(
    "text",
    [" " * 50_000, "!" * 50_000, "1" * 50_000, "{AA " * 12_000, "1-" * 25_000, "{AA" + " " * 50_000, "a." * 25_000],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    start = time.perf_counter()
    clean_text(text)
    tokenize_caption(text)
    split_sentences(text, 200)
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("a dog runs", "a dog runs."),
        ("a dog runs.", "a dog runs."),
        ("is it a dog?", "is it a dog?"),
        ("a dog,", "a dog."),
        ("a dog -", "a dog."),
        ("(a dog)", "(a dog)"),
        ("", ""),
    ],
)
def test_sentences_are_ended(text: str, ended: str) -> None:
    assert end_sentence(text) == ended
    assert end_sentence(ended) == ended

"""What holds for every text, number and wave, tried on those that Hypothesis thinks of."""

import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from optophone.core.bundle import BundleManifest, FileRecord
from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import OptophoneError
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.text import clean_text, detokenize, split_sentences, tokenize_caption
from optophone.core.time_stretch import time_stretch
from optophone.core.units import collapse, expand
from optophone.core.vocabulary import Vocabulary, build_units, build_words, tacotron2_characters

settings.register_profile("few", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("few")

# Letters of any script, half characters, controls; and what texts are made of, so that rules meet each other.
TEXTS = st.one_of(
    st.text(st.characters(), max_size=80),
    st.lists(
        st.sampled_from(["1850", "$3.50", "2nd", "Mrs.", "{HH AW1}", "½", "é", "1,000", "-", "...", "a", " ", "\n"])
    )
    .map("".join)
    .filter(lambda text: len(text) < 200),
)
SPOKEN = re.compile(r"(?:[a-z!'(),\-.:;? ]|\{[A-Z0-2 ]+\})*")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def check_line(error: OptophoneError) -> None:
    assert str(error).isprintable()
    assert 0 < len(str(error)) <= 800


@given(TEXTS)
def test_cleaned_text_is_what_a_voice_reads(text: str) -> None:
    cleaned = clean_text(text)
    assert SPOKEN.fullmatch(cleaned), cleaned
    assert cleaned == " ".join(cleaned.split())
    tacotron2_characters().encode(cleaned)


@given(TEXTS, st.integers(1, 60))
def test_sentences_lose_nothing_but_white_space(text: str, longest: int) -> None:
    pieces = split_sentences(text, longest)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    for piece in pieces:
        assert piece
        assert piece == piece.strip()
        assert len(piece) <= longest or "{" in piece


@given(TEXTS)
def test_captions_survive_being_written(text: str) -> None:
    words = tokenize_caption(text)
    assert tokenize_caption(detokenize(words)) == words
    vocabulary = build_words([text])
    ids = vocabulary.encode(text)
    assert vocabulary.unknown not in ids
    assert vocabulary.encode(vocabulary.decode(ids)) == ids


@given(st.lists(st.text(max_size=6), max_size=8), st.integers(0, 9), st.none() | st.integers(0, 9))
def test_a_vocabulary_is_read_as_it_was_written(symbols: list[str], pad: int, end: int | None) -> None:
    try:
        vocabulary = Vocabulary("characters", tuple(symbols), pad=pad, end=end)
    except OptophoneError as error:
        check_line(error)
        return
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert again.hash == vocabulary.hash


@dataclass(frozen=True)
class Inner:
    """Some options."""

    rate: float = 0.5
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    """Options with options in them."""

    size: int
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = ()
    pair: tuple[int, str] | None = None
    flag: bool = False


@given(
    st.builds(
        Outer,
        size=st.integers(),
        inner=st.builds(Inner, rate=st.floats(allow_nan=False), mode=st.sampled_from(["a", "b"])),
        sizes=st.lists(st.integers()).map(tuple),
        pair=st.none() | st.tuples(st.integers(), st.text()),
        flag=st.booleans(),
    )
)
def test_options_are_read_as_they_were_written(options: Outer) -> None:
    assert from_mapping(Outer, to_mapping(options)) == options


@given(st.dictionaries(st.sampled_from(["size", "inner", "sizes", "pair", "flag"]) | st.text(max_size=3), JSON))
def test_other_options_are_refused_in_a_line(mapping: dict) -> None:
    try:
        options = from_mapping(Outer, mapping)
    except OptophoneError as error:
        check_line(error)
    else:
        assert type(options.size) is int


@given(st.sampled_from(["captioner", "vocoder"]), st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.text())
def test_a_manifest_is_read_as_it_was_written(kind: str, configuration: dict, name: str) -> None:
    files = {"a.onnx": FileRecord("0" * 64, 3)}
    written = BundleManifest(
        kind, "c", name, configuration, None, MelSpec(n_mels=3), PictureSpec(height=9), None, {"x": 0.5}, files=files
    )
    assert BundleManifest.from_json(written.to_json(), "here") == written


@given(TEXTS | JSON.map(repr))
def test_no_manifest_and_no_vocabulary_raises_anything_else(text: str) -> None:
    for read in (lambda: BundleManifest.from_json(text, "here"), lambda: Vocabulary.from_json(text)):
        try:
            read()
        except OptophoneError as error:
            check_line(error)


@given(st.lists(st.integers(0, 3)))
def test_runs_lose_nothing(units: list[int]) -> None:
    runs = collapse(units)
    assert expand(*runs).tolist() == units
    assert (runs.lengths >= 1).all()
    assert (runs.units[1:] != runs.units[:-1]).all()
    vocabulary = build_units(4)
    ids = [unit + 3 for unit in runs.units]
    assert vocabulary.encode(vocabulary.decode(ids)) == ids


@settings(max_examples=25)
@given(
    arrays.arrays(np.float32, st.integers(0, 4000), elements=st.floats(-1, 1, width=32), fill=st.just(0)),
    st.floats(0.25, 4.0),
)
def test_stretched_sound_is_as_long_as_was_asked_for(wave: np.ndarray, speed: float) -> None:
    stretched = time_stretch(wave, speed, 8000)
    assert stretched.dtype == np.float32
    assert abs(len(stretched) - len(wave) / speed) <= 1
    assert np.isfinite(stretched).all()

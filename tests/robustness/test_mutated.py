"""Damaged files are read or refused in a line; they crash nothing, hang nothing and leak nothing.

A few hundred of each here. `make fuzz` reads 20,000 pictures and 5,000 of the rest; so does this test with
OPTOPHONE_FUZZ=1.
"""

import os
import random

import pytest

from optophone.core.audio import _SoundBytes
from optophone.core.errors import ConfigurationError, OptophoneError, VocabularyError
from optophone.core.mel import MelSpec
from optophone.core.regions import load_regions
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from robustness.fuzz import MOST_GROWTH, fuzz
from robustness.mutations import mutate, mutate_json

FEW = {"pictures": 400, "sounds": 300, "regions": 300, "vocabularies": 300, "bundles": 60, "datasets": 150}
ALL = {"pictures": 20_000}


@pytest.mark.parametrize("kind", FEW)
def test_whatever_is_damaged_gives_a_value_or_a_line(kind: str) -> None:
    count = ALL.get(kind, 5000) if os.environ.get("OPTOPHONE_FUZZ") else FEW[kind]
    findings = fuzz(kind, count)
    assert not findings.faults, findings.summary()
    assert findings.outcomes["read"] > 0, "everything is refused: the damage is too coarse to test much"
    assert findings.outcomes.total() == count
    assert findings.growth < MOST_GROWTH, findings.summary()


def test_the_same_number_is_the_same_damage() -> None:
    content = bytes(range(256)) * 4
    assert mutate(content, random.Random("a 7")) == mutate(content, random.Random("a 7"))
    assert len({mutate(content, random.Random(f"a {number}")) for number in range(50)}) > 45
    assert mutate_json(b'{"a": [1, 2]}', random.Random(3)) != b'{"a": [1, 2]}'


def test_a_hostile_message_stays_one_short_line() -> None:
    error = OptophoneError("x\n\x1b[2J\ud800 " + "y" * 10_000 + " mend it so.")
    assert str(error).startswith("x ?[2J? yyy")
    assert str(error).endswith(" mend it so.")
    assert len(str(error)) <= 800
    assert str(error).isprintable()


def test_what_would_run_for_ever_is_refused() -> None:
    for make in (
        lambda: SearchConfig(max_length=2**31),
        lambda: SearchConfig(beam_size=2**31),
        lambda: SearchConfig(temperature=float("nan")),
        lambda: MelSpec(n_fft=2**31, win_length=10),
        lambda: MelSpec(floor=float("nan")),
    ):
        with pytest.raises(ConfigurationError, match="give"):
            make()


def test_half_a_character_is_no_symbol() -> None:
    with pytest.raises(VocabularyError, match="half a character"):
        Vocabulary("characters", ("_", "\ud800"))


def test_a_damaged_sound_prints_nothing_of_its_own(capfd: pytest.CaptureFixture) -> None:
    """libsndfile seeks to before the beginning of this one; Python would print the exception of the callback."""
    stream = _SoundBytes(b"abc")
    assert stream.seek(2) == 2
    assert stream.seek(-5) == 2
    assert capfd.readouterr().err == ""


def test_a_header_that_python_cannot_read_is_no_array() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 12\n"
    with pytest.raises(OptophoneError, match="not a NumPy array"):
        load_regions(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)

"""ARPAbet as it is typed."""

import pytest

from optophone.core.errors import TextError
from optophone.core.phonemes import spell_phonemes
from optophone.core.text import has_phones


@pytest.mark.parametrize(("typed", "spelled"), [
    ("HH AH0 L OW1 | W ER1 L D", "{HH AH0 L OW1} {W ER1 L D}"),
    ("{HH AH0 L OW1} {w er1 l d}.", "{HH AH0 L OW1} {W ER1 L D}."),
    ("hh ay1, dh eh1 r!", "{HH AY1}, {DH EH1 R}!"),
])  # fmt: skip
def test_words_are_put_into_braces(typed: str, spelled: str) -> None:
    assert spell_phonemes(typed) == spelled
    assert has_phones(spelled)


@pytest.mark.parametrize(("typed", "says"), [("HH AX", "'AX'"), ("hello", "'hello'"), ("", "no phones"), ("|.", "no")])
def test_what_is_no_arpabet_is_named(typed: str, says: str) -> None:
    with pytest.raises(TextError, match=says):
        spell_phonemes(typed)
    assert not has_phones("{HH AX} hello")

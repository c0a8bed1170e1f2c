"""espeak-ng's phones in ARPAbet."""

import pytest

from optophone.core.errors import DataError
from optophone.core.ipa import arpabet
from optophone.core.text import ARPABET


@pytest.mark.parametrize(
    ("phones", "expected"),
    [
        (["m", "ˈæ", "n"], "M AE1 N"),
        (["ɹ", "ᵻ", "t", "ˈɜː", "n"], "R IH0 T ER1 N"),
        (["f", "ˈaɪɚ"], "F AY1 ER0"),
        (["tʃ", "ˈɔːɹ", "ˌuː"], "CH AO1 R UW2"),
        (["b", "ˈʌ", "t", "n̩"], "B AH1 T AH0 N"),
        (["l", "ˈɪ", "ɾ", "əl"], "L IH1 T AH0 L"),
        (["dʒ", "ˈiə"], "JH IY1 AH0"),
    ],
)
def test_english_is_spelled(phones: list[str], expected: str) -> None:
    assert arpabet(phones) == expected.split()
    assert set(arpabet(phones)) <= set(ARPABET)


def test_a_phone_that_english_has_not_is_named() -> None:
    with pytest.raises(DataError, match="'ʁ' is no phone of English"):
        arpabet(["ʁ", "ˈæ"])

"""Who is meant by a name or a number."""

import pytest

from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.speakers import MAX_SHOWN, speaker_names, speaker_number


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("LJ", 0), ("84", 1), ("1", 2), (1, 1), ("2", 2), (0, 0), ("0", 0)],
)
def test_a_name_comes_before_a_number(wanted: str | int, number: int) -> None:
    assert speaker_number(("LJ", "84", "1"), wanted) == number


@pytest.mark.parametrize("wanted", ["bob", "3", 3, -1, "-1", "", "01", " LJ"])
def test_nobody_is_guessed(wanted: str | int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        speaker_number(("LJ", "84", "1"), wanted, "tiny")
    assert str(caught.value) == f"speaker {wanted}: tiny has 3 speakers: 'LJ' (0), '84' (1), '1' (2)."


def test_a_crowd_is_not_listed_whole() -> None:
    with pytest.raises(
        ConfigurationError, match=r"200 speakers: 's0' \(0\), .* and 180 more, up to \(199\)\."
    ) as caught:
        speaker_number([f"s{i}" for i in range(200)], "bob")
    assert str(caught.value).count("'") == 2 * MAX_SHOWN
    with pytest.raises(ConfigurationError, match=r"one speaker: 'LJ' \(0\)\."):
        speaker_number(["LJ"], "1")


@pytest.mark.parametrize("names", ["LJ", [], {"LJ": 0}, ["LJ", 1], 2])
def test_what_is_no_list_of_names_is_refused(names: object) -> None:
    with pytest.raises(BundleError, match=r"voice: configuration\.speakers is no list of names"):
        speaker_names({"speakers": names}, "voice")


def test_names_are_read_as_they_are() -> None:
    assert speaker_names({"speakers": ["Zoe", "Ann"]}, "voice") == ("Zoe", "Ann")
    assert speaker_names({}, "voice") == ()
    with pytest.raises(BundleError, match="has a name twice"):
        speaker_names({"speakers": ["Ann", "Ann"]}, "voice")

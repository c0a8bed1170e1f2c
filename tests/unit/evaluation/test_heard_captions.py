"""What was heard is kept through a kill, and what was made with something else is not mixed in."""

import json
from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.evaluation.heard_captions import Heard, HeardCaptions

KEY = {"recognizer": {"content": "a1"}, "parts": {"acoustic": "b2"}, "search": {"forbidden": (0, 1)}}


def heard(name: str, words: str = "a dog") -> Heard:
    return Heard(name, name, "1 2 3", words, 1.5, True, 3, False)


def filled(path: Path) -> HeardCaptions:
    store = HeardCaptions(path)
    assert store.begin("system", KEY) == {}
    store.add("system", heard("one"))
    store.add("system", heard("two"))
    return store


def test_what_was_heard_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.heard.jsonl"
    filled(path)
    again = HeardCaptions(path)
    assert again.begin("system", KEY) == {"one": heard("one"), "two": heard("two")}
    assert again.begin("speech", {"recognizer": 1}) == {}
    again.add("system", heard("two", "two dogs"))
    assert HeardCaptions(path).begin("system", KEY)["two"].heard == "two dogs", "the last line counts"


def test_a_line_that_a_kill_cut_off_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "a.heard.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes()[:-20])
    again = HeardCaptions(path)
    assert again.begin("system", KEY) == {"one": heard("one")}
    again.add("system", heard("two"))
    again.add("system", heard("three"))
    assert set(HeardCaptions(path).begin("system", KEY)) == {"one", "two", "three"}


def test_another_bundle_or_recogniser_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.heard.jsonl"
    filled(path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"a\.heard\.jsonl: 'system' was heard with another recognizer; delete"):
        HeardCaptions(path).begin("system", {**KEY, "recognizer": {"content": "a2"}})
    with pytest.raises(DataError, match="another parts and search"):
        HeardCaptions(path).begin("system", {"recognizer": KEY["recognizer"], "parts": {}, "search": {}})
    assert path.read_bytes() == before


def test_rows_with_the_same_key_are_taken_over(tmp_path: Path) -> None:
    filled(tmp_path / "a.heard.jsonl")
    later = HeardCaptions(tmp_path / "b.heard.jsonl", [HeardCaptions(tmp_path / "a.heard.jsonl")])
    assert later.begin("speech", KEY) == {}, "another row"
    assert set(later.begin("system", KEY)) == {"one", "two"}
    assert set(HeardCaptions(tmp_path / "b.heard.jsonl").begin("system", KEY)) == {"one", "two"}, "they are kept"
    other = HeardCaptions(tmp_path / "c.heard.jsonl", [HeardCaptions(tmp_path / "a.heard.jsonl")])
    assert other.begin("system", {**KEY, "parts": {}}) == {}


def test_nothing_is_kept_without_a_file() -> None:
    store = HeardCaptions(None)
    store.begin("system", KEY)
    store.add("system", heard("one"))
    assert store.begin("system", KEY) == {"one": heard("one")}


@pytest.mark.parametrize("line", [{"id": 1}, [1], {"row": "system", "item": "one", "loud": True}])
def test_another_file_is_refused(tmp_path: Path, line: object) -> None:
    path = tmp_path / "a.heard.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError, match="no file of heard captions"):
        HeardCaptions(path)

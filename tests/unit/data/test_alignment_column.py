"""Columns of alignments: written part by part, stopped at any moment, read again."""

import json
from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.data.alignment_column import read_alignment_column
from optophone.data.alignment_extraction import AlignmentExtraction
from optophone.data.manifest import Dataset, read_dataset, write_dataset, write_manifest
from tiny_alignments import align_known, known_spans, write_alignments, write_singers


@pytest.fixture
def speech(tmp_path: Path) -> Dataset:
    """Seven utterances, one with an unknown word and one whose sound is none."""
    folder = write_singers(tmp_path / "speech", n=7).folder
    rows = [json.loads(line) for line in (folder / "dev.jsonl").read_text().splitlines()]
    rows[2]["text"] = "AXE"
    (folder / "audio/4.wav").write_bytes(b"nothing")
    write_manifest(folder / "dev.jsonl", rows)
    return write_dataset(folder, "singers", splits=["dev"], options={}, source="", layout="", licence="none")


def extraction(speech: Dataset, out: Path, limit: int | None = None) -> AlignmentExtraction:
    request = {"limit": limit, "aligner": {"name": "known"}}
    return AlignmentExtraction(speech, out, align_known, {"dev": speech.rows("dev")[:limit]}, request, rows_per_part=2)


def test_what_was_aligned_is_read_and_the_rest_has_reasons(speech: Dataset, tmp_path: Path) -> None:
    made = extraction(speech, tmp_path / "out")
    for part in made.missing():
        assert list(made.write(part))
    column = made.finish()
    texts = {row["id"]: row["text"] for row in speech.rows("dev")}
    spans = column.spans("dev")
    assert list(spans) == ["u0", "u1", "u3", "u5", "u6"]
    assert all(spans[name] == known_spans(texts[name]) for name in spans)
    assert column.left_out("dev") == {"u2": "no pronunciation of 'X'", "u4": "the sound cannot be read"}
    column.check_speech(speech)
    assert column.dataset.options["speech"] == speech.hash()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dataset.json",
        "dev.jsonl",
        "dev.left-out.jsonl",
    ]


def test_an_interrupted_run_goes_on_and_a_finished_one_does_nothing(speech: Dataset, tmp_path: Path) -> None:
    whole = extraction(speech, tmp_path / "whole")
    for part in whole.missing():
        list(whole.write(part))
    whole.finish()
    first = extraction(speech, tmp_path / "out")
    list(first.write(first.missing()[1]))
    stopped = first.write(first.missing()[0])
    next(stopped)  # killed within a part
    stopped.close()
    again = extraction(speech, tmp_path / "out")
    assert len(again.missing()) == 3
    for part in again.missing():
        list(again.write(part))
    again.finish()
    assert (tmp_path / "out/dev.jsonl").read_bytes() == (tmp_path / "whole/dev.jsonl").read_bytes()
    finished = extraction(speech, tmp_path / "out")
    assert finished.is_finished
    assert finished.missing() == []
    assert len(finished.finish().spans("dev")) == 5


def test_another_request_or_speech_is_refused(speech: Dataset, tmp_path: Path) -> None:
    extraction(speech, tmp_path / "out")
    list((made := extraction(speech, tmp_path / "out")).write(made.missing()[0]))
    with pytest.raises(DataError, match="limit None there, 3 asked for"):
        extraction(speech, tmp_path / "out", limit=3)
    column = write_alignments(write_singers(tmp_path / "other"), tmp_path / "other-column")
    with pytest.raises(DataError, match="other speech"):
        column.check_speech(speech)
    with pytest.raises(DataError, match="no alignments but 'singers'"):
        read_alignment_column(speech.folder)


def test_rows_without_text_are_refused(speech: Dataset, tmp_path: Path) -> None:
    rows = {"dev": [{"id": "u", "audio": "audio/0.wav"}]}
    with pytest.raises(DataError, match="u of dev has no audio with text"):
        AlignmentExtraction(speech, tmp_path / "out", align_known, rows, {})


@pytest.mark.parametrize("row", [{"words": []}, {"words": [["a", 1]], "phones": []}, {"words": [["a", 2, 1]]}])
def test_damaged_rows_are_named(row: dict, tmp_path: Path) -> None:
    write_manifest(tmp_path / "dev.jsonl", [{"id": "u7", "phones": [["A", "x", 1]], **row}])
    write_dataset(tmp_path, "alignments", splits=["dev"], options={}, source="", layout="", licence="none")
    with pytest.raises(DataError, match="u7"):
        read_alignment_column(tmp_path).spans("dev")
    assert read_dataset(tmp_path).name == "alignments"

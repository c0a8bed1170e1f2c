"""Files of the COCO caption evaluation."""

import json
from pathlib import Path
from typing import Any

import pytest

from optophone.core.errors import DataError
from optophone.evaluation.coco_captions import read_coco_references, read_coco_results


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_results_and_references_are_read(tmp_path: Path):
    results = write(
        tmp_path / "r.json", [{"image_id": 42, "caption": "a dog", "id": 1}, {"image_id": "x", "caption": ""}]
    )
    assert read_coco_results(results) == {"42": "a dog", "x": ""}
    content = {
        "images": [{"id": 42, "file_name": "42.jpg"}, {"id": 43}],
        "annotations": [{"image_id": 42, "id": 1, "caption": "a dog"}, {"image_id": 42, "id": 2, "caption": "dogs"}],
    }
    expected = {"42": ["a dog", "dogs"]}, {"42": "42.jpg"}
    assert read_coco_references(write(tmp_path / "c.json", content)) == expected
    assert read_coco_references(str(tmp_path / "c.json")) == expected


def test_our_own_results_are_read_too(tmp_path: Path):
    assert read_coco_results(write(tmp_path / "r.json", {"kind": "captions", "captions": {"a": "b"}})) == {"a": "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no captions"),
        ([{"caption": "a"}], "not captions of the form"),
        ([{"image_id": 1, "caption": 2}], "is no text"),
        ({"a": 1}, "not captions of the form"),
        (3, "not captions of the form"),
        ([{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}], "two captions of picture 1"),
    ],
)
def test_other_results_are_refused(content: Any, message: str, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        read_coco_results(write(tmp_path / "r.json", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "holds no reference captions"),
        ([], "not references"),
        ({"annotations": [{"image_id": 1}]}, "not references"),
        ({"annotations": [{"image_id": 1, "caption": None}]}, "is no text"),
    ],
)
def test_other_references_are_refused(content: Any, message: str, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        read_coco_references(write(tmp_path / "r.json", content))


def test_files_that_are_no_json_are_refused(tmp_path: Path):
    (tmp_path / "r.json").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "r.json", tmp_path / "missing.json"):
        for read in (read_coco_results, read_coco_references):
            with pytest.raises(DataError, match=path.name):
                read(path)

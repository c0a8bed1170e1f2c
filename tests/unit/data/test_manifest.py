"""Manifests: written whole, read strictly."""

import json

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.data.manifest import manifest_hash, read_dataset, read_manifest, write_dataset, write_manifest

ROWS = [
    {"id": "a", "picture": "x/a.jpg", "captions": ["Ein Hund – süß ."]},
    {"id": "b", "picture": "b.jpg", "label": 1},
]


def _dataset(folder, rows=ROWS):
    write_manifest(folder / "train.jsonl", rows)
    return write_dataset(
        folder, "toy", splits=["train"], options={"size": 8}, source="/there", layout="a folder", licence="free"
    )


def test_round_trip(tmp_path):
    assert write_manifest(tmp_path / "train.jsonl", ROWS) == 2
    assert read_manifest(tmp_path / "train.jsonl") == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "train.jsonl"
    write_manifest(path, ROWS)

    def dying():
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, dying())
    assert read_manifest(path) == ROWS


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ('{"picture": "a.jpg"}', 'text "id"'),
        ('{"id": "a", "picture": "b.jpg"}', "already on line 1"),
        ('{"id": "c", "label": "dog"}', "'label' has the wrong type"),
        ('{"id": "c", "label": true}', "'label' has the wrong type"),
        ('{"id": "c", "captions": ["x", 3]}', "other than text"),
        ('{"id": "c", "picture": "../b.jpg"}', "relative path"),
        ('{"id": "c", "picture": "x/../../b.jpg"}', "relative path"),
        ('{"id": "c", "audio": "/etc/passwd"}', "relative path"),
        ('{"id": "c", "audio": "C:\\\\b.wav"}', "relative path"),
        ('{"id": "c", "audio": "..\\\\b.wav"}', "relative path"),
        ('{"id": "c", "audio": ""}', "relative path"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "train.jsonl"
    path.write_text('{"id": "a"}\n\n' + line + "\n")
    with pytest.raises(DataError, match=message) as failure:
        read_manifest(path)
    assert "train.jsonl:3:" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.jsonl: cannot read"):
        read_manifest(tmp_path / "no.jsonl")


def test_dataset_round_trip(tmp_path):
    dataset = _dataset(tmp_path)
    again = read_dataset(tmp_path)
    assert again == dataset
    assert again.rows("train") == ROWS
    assert again.splits["train"].sha256 == manifest_hash(tmp_path / "train.jsonl")
    assert again.path("picture", ROWS[0]) == tmp_path / "x/a.jpg"
    with pytest.raises(DataError, match="no split 'dev'; this data set has train"):
        again.rows("dev")


def test_the_hash_changes_with_the_rows(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert _dataset(tmp_path / "one").hash() != _dataset(tmp_path / "two", ROWS[:1]).hash()


def test_a_changed_manifest_is_told(tmp_path):
    _dataset(tmp_path)
    with open(tmp_path / "train.jsonl", "a") as file:
        file.write('{"id": "c"}\n')
    with pytest.raises(DataError, match="changed since"):
        read_dataset(tmp_path)
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(DataError, match="missing"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"splits": []}, "damaged"),
        ({"splits": {"../x": {"rows": 1, "sha256": ""}}}, "no name for a split"),
        ({"splits": {"dev": {}}}, "damaged"),
    ],
)
def test_a_damaged_dataset_file_is_told(tmp_path, change, message):
    _dataset(tmp_path)
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_dataset(tmp_path)


def test_arrays_are_checked_against_the_rows(tmp_path):
    dataset = _dataset(tmp_path)
    assert not dataset.has_array("train", "labels")
    with pytest.raises(DataError, match="no packed labels"):
        dataset.array("train", "labels")
    np.save(tmp_path / "train.labels.npy", np.arange(3))
    with pytest.raises(DataError, match="3 entries for 2 rows"):
        dataset.array("train", "labels")
    np.save(tmp_path / "train.labels.npy", np.arange(2))
    assert dataset.has_array("train", "labels")
    assert dataset.array("train", "labels").tolist() == [0, 1]


def test_packed_waves_are_read_and_checked(tmp_path):
    dataset = _dataset(tmp_path)
    np.save(tmp_path / "a.npy", np.array([0, 16384, -32768, 5], np.int16))
    row = {"id": "a", "audio": "a.npy", "offset": 1, "n_samples": 2, "sample_rate": 16000}
    wave, sample_rate = dataset.wave(row)
    assert (wave.tolist(), wave.dtype, sample_rate) == ([0.5, -1.0], np.float32, 16000)
    with pytest.raises(DataError, match="does not hold a"):
        dataset.wave(row | {"n_samples": 9})
    with pytest.raises(DataError, match="cannot read the packed audio"):
        dataset.wave(row | {"audio": "b.npy"})

"""Columns of units as the symbols of captioners and voices."""

from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.core.units import collapse
from optophone.data.manifest import Dataset, read_dataset, write_dataset, write_manifest
from optophone.data.unit_symbols import read_unit_symbols
from optophone.data.written_captions import pictures_of, written_rows
from tiny_datasets import write_captioned_pictures, write_spoken_captions
from tiny_textless import UNIT_S, frames_of, write_unit_column


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_captioned_pictures(tmp_path_factory.mktemp("pictures"), 16)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory, pictures: Dataset) -> Dataset:
    return write_spoken_captions(tmp_path_factory.mktemp("speech"), pictures)


def test_lasting_units_are_written_once_or_once_a_frame(speech: Dataset, tmp_path: Path) -> None:
    write_unit_column(tmp_path, speech)
    collapsed, whole = read_unit_symbols(tmp_path), read_unit_symbols(tmp_path, "off")
    for row in speech.rows("dev"):
        frames = frames_of(row, whole.vocabulary)
        assert whole.vocabulary.encode(whole.texts("dev")[row["id"]]) == frames.tolist()
        assert whole.vocabulary.encode(collapsed.texts("dev")[row["id"]]) == collapse(frames).units.tolist()
    origin = collapsed.origin
    assert (origin.encoder, origin.unit_s, origin.run_length) == ("tiny-units", UNIT_S, "collapsed")
    assert not origin.agrees_with(whole.origin)


@pytest.mark.parametrize("run_length", ["collapsed", "off"])
def test_captions_belong_to_their_pictures(run_length: str, speech: Dataset, tmp_path: Path) -> None:
    write_unit_column(tmp_path, speech)
    units = read_unit_symbols(tmp_path, run_length)  # type: ignore[arg-type]
    captions, texts = units.captions("train"), units.texts("train")
    assert captions == {f"train{i}": [texts[f"train{i}-0"], texts[f"train{i}-1"]] for i in range(12)}


def test_a_column_without_lengths_has_no_frames(speech: Dataset, tmp_path: Path) -> None:
    write_unit_column(tmp_path, speech, "collapsed")
    assert read_unit_symbols(tmp_path).texts("dev")
    with pytest.raises(DataError, match="without lengths"):
        read_unit_symbols(tmp_path, "off").texts("dev")


def test_spoken_captions_are_the_captions(pictures: Dataset, speech: Dataset, tmp_path: Path) -> None:
    write_unit_column(tmp_path, speech)
    units = read_unit_symbols(tmp_path)
    rows = written_rows(pictures, "dev", "units", units)
    assert [row["id"] for row in rows] == [row["id"] for row in pictures.rows("dev")]
    assert rows[1]["captions"] == units.captions("dev")["dev1"]
    assert rows[1]["picture"] == pictures.rows("dev")[1]["picture"]
    assert written_rows(pictures, "dev", "words") == pictures.rows("dev")


def subset(folder: Path, column: Path, ids: set[str]) -> Path:
    """A column of the units of the pictures `ids` alone."""
    whole = read_dataset(column)
    folder.mkdir()
    for split in whole.splits:
        write_manifest(folder / f"{split}.jsonl", [row for row in whole.rows(split) if row["picture_id"] in ids])
    (folder / "vocabulary.json").write_bytes((column / "vocabulary.json").read_bytes())
    here = "made here"
    write_dataset(folder, "units", splits=["train", "dev"], options=whole.options, source=here, layout=here, licence="")
    return folder


def test_pictures_nobody_speaks_about_are_left_out(pictures: Dataset, speech: Dataset, tmp_path: Path) -> None:
    write_unit_column(tmp_path / "all", speech)
    units = read_unit_symbols(subset(tmp_path / "some", tmp_path / "all", {"train3", "train7"}))
    rows = written_rows(pictures, "train", "units", units)
    assert [row["id"] for row in rows] == ["train3", "train7"]
    packed = pictures.array("train", "pictures")
    assert (pictures_of(pictures, "train", rows) == packed[[3, 7]]).all()
    assert (pictures_of(pictures, "train", pictures.rows("train")) == packed).all()
    with pytest.raises(DataError, match="no speech of dev is about a picture"):
        written_rows(pictures, "dev", "units", units)

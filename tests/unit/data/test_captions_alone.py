"""Captions without pictures: drawn by the step, from the data or from speech about something else."""

from dataclasses import replace
from pathlib import Path

import pytest

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.vocabulary import build_units, build_words
from optophone.data.captioned_pictures import CaptionedPicturesConfig
from optophone.data.captions_alone import CaptionsAlone, read_other_speech
from optophone.data.unit_symbols import read_unit_symbols
from tiny_datasets import write_captioned_pictures, write_speech, write_spoken_captions
from tiny_textless import write_unit_column

UNITS = build_units(9)


def captions(n: int) -> list[list[int]]:
    return [[*UNITS.encode(str(i % 9)), UNITS.end or 0] for i in range(n)]


def test_a_step_draws_its_own() -> None:
    source = CaptionsAlone(captions(9), UNITS, 5, seed=0)
    again = CaptionsAlone(captions(9), UNITS, 5, seed=0)
    other = CaptionsAlone(captions(9), UNITS, 5, seed=1)
    inputs, targets = source.batch(7, 6, use=0)
    assert inputs.shape == targets.shape == (6, 2)
    assert len(set(targets[:, 0].tolist())) == 6, "none twice as long as there are enough"
    assert (targets == again.batch(7, 6, use=0)[1]).all()
    drawn = [
        tuple(one.batch(step, 6, use)[1][:, 0].tolist()) for one in (source, other) for step in (7, 8) for use in (0, 1)
    ]
    assert len(set(drawn)) == 8, "seed, step and use each draw anew"
    assert source.batch(0, 20, use=0)[1].shape == (20, 2), "more than there are"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Spoken captions and their units, and units of another encoder."""
    folder = tmp_path_factory.mktemp("data")
    speech = write_spoken_captions(folder / "speech", write_captioned_pictures(folder / "pictures", 16))
    write_unit_column(folder / "units", speech)
    write_unit_column(folder / "other", speech, encoder="other-units")
    return folder / "pictures", folder / "units", folder / "other"


def test_units_of_other_speech(folders: tuple[Path, Path, Path]) -> None:
    data = CaptionedPicturesConfig(str(folders[0]), symbols="units", units=str(folders[1]))
    symbols = read_unit_symbols(folders[1])
    read = read_other_speech(str(folders[1]), data, symbols.vocabulary)
    assert [symbols.vocabulary.decode(ids) for ids in read] == list(symbols.texts("train").values())
    assert all(ids[-1] == symbols.vocabulary.end for ids in read)
    with pytest.raises(DataError, match="same encoder"):
        read_other_speech(str(folders[2]), data, symbols.vocabulary)


def test_words_of_other_texts(tmp_path: Path) -> None:
    write_speech(tmp_path / "speech")
    data = CaptionedPicturesConfig(str(tmp_path), symbols="words")
    vocabulary = build_words(["aa bbb"], 1)
    read = read_other_speech(str(tmp_path / "speech"), data, vocabulary)
    assert len(read) == 12
    assert vocabulary.decode(read[0]) == "aa"
    write_captioned_pictures(tmp_path / "pictures", 16)
    with pytest.raises(DataError, match="no text"):
        read_other_speech(str(tmp_path / "pictures"), data, vocabulary)
    with pytest.raises(ConfigurationError, match="phones"):
        read_other_speech(str(tmp_path / "speech"), replace(data, symbols="phones"), vocabulary)

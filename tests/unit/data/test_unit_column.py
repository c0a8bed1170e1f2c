"""Columns of units: written part by part, stopped at any moment, shared, joined and read."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.core.audio import resample
from optophone.core.errors import AudioError, ConfigurationError, DataError
from optophone.core.k_means_units import KMeansUnits
from optophone.core.units import collapse
from optophone.data import unit_extraction
from optophone.data.manifest import Dataset, read_dataset, write_dataset, write_manifest
from optophone.data.unit_column import RunLength, UnitColumn, read_unit_column
from optophone.data.unit_extraction import Share, UnitExtraction
from tiny_units import RATE, tiny_k_means, write_utterances

ORIGIN = {"unit_s": 0.04, "quantizer": None, "encoder": "tiny", "content": "0" * 64}
RUN_LENGTHS: tuple[RunLength, ...] = ("collapsed", "lossless", "off")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_utterances(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def encoder() -> KMeansUnits:
    return tiny_k_means()


def extraction(speech: Dataset, out: Path, encoder: Any, run_length: RunLength = "lossless") -> UnitExtraction:
    return UnitExtraction(speech, out, encoder, ORIGIN, run_length, rows_per_part=2)


def write_all(made: UnitExtraction, share: Share | None = None) -> None:
    for part in made.missing(share):
        assert all(error is None for _, error in made.write(part))


def column(speech: Dataset, out: Path, encoder: Any, run_length: RunLength = "lossless") -> UnitColumn:
    made = extraction(speech, out, encoder, run_length)
    write_all(made)
    return made.finish()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(speech: Dataset, encoder: KMeansUnits, split: str) -> dict[str, np.ndarray]:
    return {row["id"]: encoder.units(resample(*speech.wave(row), RATE)) for row in speech.rows(split)}


@pytest.mark.parametrize("run_length", RUN_LENGTHS)
def test_what_is_read_is_what_the_encoder_says(
    run_length: RunLength, speech: Dataset, encoder: KMeansUnits, tmp_path: Path
) -> None:
    column(speech, tmp_path / "units", encoder, run_length)
    found = read_unit_column(tmp_path / "units")
    assert (found.vocabulary, found.unit_s, found.run_length) == (encoder.vocabulary, 0.04, run_length)
    found.check_speech(speech)
    for split in ("train", "dev"):
        units = expected(speech, encoder, split)
        texts = {name: encoder.vocabulary.decode(collapse(ids).units) for name, ids in units.items()}
        assert found.texts(split) == texts
        assert list(found.captions(split)) == list(dict.fromkeys(row["picture_id"] for row in speech.rows(split)))
        assert [text for about in found.captions(split).values() for text in about] == list(texts.values())
        if run_length == "collapsed":
            with pytest.raises(DataError, match="without lengths"):
                found.frames(split)
        else:
            for name, ids in found.frames(split).items():
                np.testing.assert_array_equal(ids, units[name])


class Interrupted:
    """An encoder that is stopped at its n-th utterance."""

    sample_rate, unit_s = RATE, 0.04

    def __init__(self, encoder: KMeansUnits, at: int) -> None:
        self.encoder, self.vocabulary, self.left = encoder, encoder.vocabulary, at

    def units(self, wave: np.ndarray) -> np.ndarray:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.encoder.units(wave)


@pytest.mark.parametrize("at", range(9))
def test_an_interrupted_column_goes_on_and_ends_the_same(
    at: int, speech: Dataset, encoder: KMeansUnits, tmp_path: Path
) -> None:
    column(speech, tmp_path / "whole", encoder)
    with pytest.raises(KeyboardInterrupt):
        column(speech, tmp_path / "units", Interrupted(encoder, at))
    with pytest.raises(DataError, match="no finished data set"):
        read_unit_column(tmp_path / "units")
    made = extraction(speech, tmp_path / "units", encoder)
    ends = (0, 2, 4, 6, 7)  # of the parts: two rows each, and the odd one of train
    assert sum(len(part.rows) for part in made.missing()) == 9 - max(end for end in ends if end <= at)
    write_all(made)
    made.finish()
    assert files(tmp_path / "units") == files(tmp_path / "whole")


@pytest.mark.parametrize("step", ["write_manifest", "write_dataset", "shutil.rmtree"])
def test_a_stop_while_joining_loses_nothing(
    step: str, speech: Dataset, encoder: KMeansUnits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column(speech, tmp_path / "whole", encoder)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"{unit_extraction.__name__}.{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            column(speech, tmp_path / "units", encoder)
    made = extraction(speech, tmp_path / "units", encoder)
    assert made.missing() == []
    made.finish()
    assert files(tmp_path / "units") == files(tmp_path / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
from optophone.core.k_means_units import KMeansUnits
from optophone.data.manifest import read_dataset
from optophone.data.unit_extraction import UnitExtraction

class Dying(KMeansUnits):
    left = int(sys.argv[4])
    def units(self, wave):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().units(wave)

encoder = Dying.load(sys.argv[1])
origin = {"unit_s": 0.04, "quantizer": None, "encoder": "tiny", "content": "0" * 64}
made = UnitExtraction(read_dataset(sys.argv[2]), Path(sys.argv[3]), encoder, origin, rows_per_part=2)
for part in made.missing():
    list(made.write(part))
"""


def test_a_killed_process_leaves_whole_parts(speech: Dataset, encoder: KMeansUnits, tmp_path: Path) -> None:
    encoder.save(tmp_path / "k.npz")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "k.npz"), str(speech.folder), str(tmp_path / "units"), "5"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    made = extraction(speech, tmp_path / "units", encoder)
    assert [part.path.stem for part in made.parts if part.path.is_file()] == ["train-00000", "train-00001"]
    write_all(made)
    made.finish()
    column(speech, tmp_path / "whole", encoder)
    assert files(tmp_path / "units") == files(tmp_path / "whole")


def test_shares_do_every_part_once(speech: Dataset, encoder: KMeansUnits, tmp_path: Path) -> None:
    made = [extraction(speech, tmp_path / "units", encoder) for _ in range(3)]
    done: list[str] = []
    for number, one in enumerate(made, start=1):
        mine = one.missing(Share(number, 3))
        done += [part.path.name for part in mine]
        write_all(one, Share(number, 3))
    assert sorted(done) == sorted(part.path.name for part in made[0].parts)
    assert len(set(done)) == 5
    made[1].finish()
    column(speech, tmp_path / "whole", encoder)
    assert files(tmp_path / "units") == files(tmp_path / "whole")


@pytest.mark.parametrize("share", [(0, 2), (3, 2), (1, 0)])
def test_a_share_that_there_is_not(share: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="shard"):
        Share(*share)


def test_other_units_do_not_mix(speech: Dataset, encoder: KMeansUnits, tmp_path: Path) -> None:
    out = tmp_path / "units"
    write_all(extraction(speech, out, encoder))
    with pytest.raises(DataError, match='run_length "lossless" there, "off" asked for'):
        extraction(speech, out, encoder, "off")
    extraction(speech, out, encoder).finish()
    assert extraction(speech, out, encoder).is_finished
    with pytest.raises(DataError, match="holds other units"):
        UnitExtraction(speech, out, encoder, {**ORIGIN, "content": "1" * 64}, rows_per_part=2)
    other = write_utterances(tmp_path / "other", n=3)
    with pytest.raises(DataError, match="speech"):
        extraction(other, out, encoder)
    with pytest.raises(DataError, match="other speech"):
        read_unit_column(out).check_speech(other)


def test_foreign_folders_are_left_alone(speech: Dataset, encoder: KMeansUnits, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="not empty"):
        extraction(speech, tmp_path, encoder)
    with pytest.raises(DataError, match="holds other units"):
        extraction(speech, speech.folder, encoder)
    with pytest.raises(DataError, match="cannot be written"):
        extraction(speech, tmp_path / "holiday.jpg", encoder)


def test_pictures_are_no_speech(encoder: KMeansUnits, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_manifest(tmp_path / "data/train.jsonl", [{"id": "a", "picture": "a.jpg"}])
    write_dataset(tmp_path / "data", "p", splits=["train"], options={}, source="", layout="", licence="")
    with pytest.raises(DataError, match="a of train has no audio"):
        extraction(read_dataset(tmp_path / "data"), tmp_path / "units", encoder)


@pytest.fixture
def broken(tmp_path: Path) -> Dataset:
    """A data set of which one sound is none and one is silent."""
    speech = write_utterances(tmp_path / "broken", n=5)
    (speech.folder / "audio/train1.wav").write_bytes(b"nothing")
    shutil.copy(speech.folder / "audio/train0.wav", speech.folder / "audio/train3.wav")
    content = (speech.folder / "audio/train3.wav").read_bytes()
    (speech.folder / "audio/train3.wav").write_bytes(content[:44] + bytes(len(content) - 44))
    return speech


def errors(made: UnitExtraction, skip_bad: bool) -> Iterator[tuple[str, AudioError]]:
    for part in made.missing():
        for row, error in made.write(part, skip_bad):
            if error is not None:
                yield row["id"], error


def test_bad_sounds_are_told_and_their_parts_wait(broken: Dataset, encoder: KMeansUnits, tmp_path: Path) -> None:
    made = extraction(broken, tmp_path / "units", encoder)
    told = dict(errors(made, False))
    assert list(told) == ["train1", "train3"]
    assert "silent" in str(told["train3"])
    assert [part.path.stem for part in made.missing()] == ["train-00000", "train-00001"]
    assert len(list(errors(made, True))) == 2
    found = made.finish()
    assert list(found.texts("train")) == ["train0", "train2", "train4"]


DAMAGES = {
    "a unit that there is not": ({"units": "1 900"}, "900"),
    "no units": ({"units": ""}, "no units"),
    "units that are no text": ({"units": [1, 2]}, "no units"),
    "lengths of other units": ({"lengths": [1]}, "lengths"),
    "lengths that are none": ({"units": "1", "lengths": [0]}, "lengths"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_rows_are_named(name: str, speech: Dataset, encoder: KMeansUnits, tmp_path: Path) -> None:
    out = tmp_path / "units"
    column(speech, out, encoder)
    change, says = DAMAGES[name]
    rows = [{**row, **change} for row in read_dataset(out).rows("dev")]
    write_manifest(out / "dev.jsonl", rows)
    old = json.loads((out / "dataset.json").read_text())
    write_dataset(
        out, old["name"], splits=list(old["splits"]), options=old["options"], source="", layout="", licence=""
    )
    with pytest.raises(DataError, match=says) as caught:
        read_unit_column(out).frames("dev")
    assert "dev0" in str(caught.value)


def test_other_data_sets_are_no_columns(speech: Dataset) -> None:
    with pytest.raises(DataError, match="no column of units"):
        read_unit_column(speech.folder)

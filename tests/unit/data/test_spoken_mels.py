"""Pictures with spoken captions as mels and units."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.mel import log_mel
from optophone.data.manifest import Dataset, write_dataset, write_manifest
from optophone.data.spoken_mels import DevSpokenMels, SpokenMels, SpokenMelsConfig
from optophone.data.steps import StepItems
from optophone.data.unit_symbols import UnitSymbols, read_unit_symbols
from tiny_datasets import MEL, write_captioned_pictures, write_spoken_captions
from tiny_textless import write_unit_column

Data = tuple[Dataset, Dataset, UnitSymbols]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    pictures = write_captioned_pictures(folder / "pictures", 16)
    speech = write_spoken_captions(folder / "speech", pictures)
    write_unit_column(folder / "units", speech)
    return pictures, speech, read_unit_symbols(folder / "units")


@pytest.fixture(scope="module")
def config(data: Data) -> SpokenMelsConfig:
    folders = [str(one.folder) for one in data[:2]]
    return SpokenMelsConfig(*folders, units="units", batch_size=3, captions_per_picture=2, size=16, mel=MEL)


def test_utterances_belong_to_their_pictures(data: Data, config: SpokenMelsConfig) -> None:
    source = SpokenMels(*data[:2], "train", config, data[2])
    batch = source[StepItems(0, 4, [3, 0, 7])]
    assert batch.pictures.shape == (3, 3, 16, 16)
    assert len(batch.speech.mel) == 6
    said = {row["id"]: row for row in source.utterances.rows}
    for place, index in enumerate((3, 0, 7)):
        expected = {number for number, row in enumerate(source.utterances.rows) if row["picture_id"] == f"train{index}"}
        found = set()
        for row in (2 * place, 2 * place + 1):
            n = int(batch.speech.mel_lengths[row])
            mel = batch.speech.mel[row, :, :n].numpy()
            same = [
                number
                for number in expected
                if source.utterances.mel(number).shape == mel.shape
                and np.array_equal(source.utterances.mel(number).astype(np.float32), mel)
            ]
            found |= set(same)
            assert batch.durations is not None
            assert int(batch.durations[row].sum()) == n
        assert found == expected, "both utterances, none twice"
    assert len(said) == 24


def test_mels_and_units_are_those_of_the_sound(data: Data, config: SpokenMelsConfig) -> None:
    source = SpokenMels(*data[:2], "dev", config, data[2])
    batch = DevSpokenMels(source, 2)[0]
    row = data[1].rows("dev")[0]
    wave, _ = data[1].wave(row)
    expected = log_mel(wave, MEL)
    np.testing.assert_allclose(batch.speech.mel[0, :, : expected.shape[1]], expected, atol=0.01)
    n = int(batch.speech.id_lengths[0])
    assert data[2].vocabulary.decode(batch.speech.ids[0, :n].tolist()) == data[2].texts("dev")[row["id"]]


def test_a_step_is_always_the_same_and_steps_differ(data: Data, config: SpokenMelsConfig) -> None:
    first, again = (SpokenMels(*data[:2], "train", config)[StepItems(1, 5, [1, 2])] for _ in range(2))
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(first.speech.mel, again.speech.mel)
    assert first.durations is None
    assert first.speech.ids.shape == (4, 0)
    source = SpokenMels(*data[:2], "train", replace(config, captions_per_picture=1, units=None))
    picked = {float(source[StepItems(1, step, [1])].speech.mel_lengths[0]) for step in range(20)}
    assert len(picked) == 2, "each utterance has its turn"


def test_regions_take_the_place_of_pictures(data: Data, config: SpokenMelsConfig) -> None:
    source = SpokenMels(*data[:2], "train", config)
    source.regions = torch.arange(2 * 12.0).view(2, 12, 1, 1).expand(2, 12, 4, 5).bfloat16()
    batch = source[StepItems(0, 0, [3, 9])]
    assert batch.pictures.dtype == torch.float32
    assert {float(one[0, 0]) for one in batch.pictures} <= {3.0, 15.0, 9.0, 21.0}


def test_development_pictures_come_in_their_order(data: Data, config: SpokenMelsConfig) -> None:
    dev = DevSpokenMels(SpokenMels(*data[:2], "dev", replace(config, dev_limit=3)), 2)
    assert [len(batch.pictures) for batch in dev] == [2, 1]
    assert len(dev) == 2
    everything = DevSpokenMels(SpokenMels(*data[:2], "dev", replace(config, dev_limit=0)), 2)
    assert [len(batch.pictures) for batch in everything] == [2, 2]
    assert torch.equal(dev[0].pictures, everything[0].pictures)


def test_long_utterances_are_left_out(data: Data, config: SpokenMelsConfig) -> None:
    durations = [row["duration_s"] for row in data[1].rows("train")]
    limit = sorted(durations)[len(durations) // 2]
    source = SpokenMels(*data[:2], "train", replace(config, max_seconds=limit))
    assert max(row["duration_s"] for row in source.utterances.rows) <= limit
    numbers = [len(text.split()) for text in data[2].texts("train").values()]
    limit = sorted(numbers)[len(numbers) // 2]
    source = SpokenMels(*data[:2], "train", replace(config, max_symbols=limit + 1), data[2])
    kept = [number for about in source.about for number in about]
    assert len(kept) == sum(n <= limit for n in numbers)
    assert len(source.pictures) == len(source.about) <= 12


def test_what_does_not_fit_is_refused(data: Data, config: SpokenMelsConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no utterance of train under"):
        SpokenMels(*data[:2], "train", replace(config, max_seconds=0.01))
    with pytest.raises(ConfigurationError, match="max_symbols"):
        replace(config, units=None, max_symbols=5)
    with pytest.raises(ConfigurationError, match="captions_per_picture"):
        replace(config, captions_per_picture=0)
    write_unit_column(tmp_path / "plain", data[1], "collapsed")
    with pytest.raises(DataError, match="without lengths"):
        SpokenMels(*data[:2], "train", config, read_unit_symbols(tmp_path / "plain"))
    write_manifest(tmp_path / "train.jsonl", [])
    options = {"splits": ["train"], "options": {}, "source": "x", "layout": "x", "licence": "x"}
    with pytest.raises(DataError, match="no utterance"):
        SpokenMels(data[0], write_dataset(tmp_path, "tiny", **options), "train", config)

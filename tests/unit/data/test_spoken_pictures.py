"""Pairs of pictures and speech."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.audio import resample
from optophone.core.errors import DataError
from optophone.core.unit_filter_bank import UnitFilterBank
from optophone.data.manifest import Dataset, write_dataset, write_manifest
from optophone.data.spoken_pictures import DEV_BATCH, DevPairs, Speech, SpokenPictures, SpokenPicturesConfig
from optophone.data.steps import StepItems
from tiny_datasets import write_captioned_pictures, write_spoken_captions


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    folder = tmp_path_factory.mktemp("data")
    pictures = write_captioned_pictures(folder / "pictures")
    return pictures, write_spoken_captions(folder / "speech", pictures)


@pytest.fixture(scope="module")
def config(data: tuple[Dataset, Dataset]) -> SpokenPicturesConfig:
    return SpokenPicturesConfig(str(data[0].folder), str(data[1].folder), 4, size=16)


def speech_of(data: tuple[Dataset, Dataset], config: SpokenPicturesConfig, split: str = "train") -> Speech:
    return Speech(data[1], data[0].rows(split), split, config)


def test_levels_are_those_of_the_front_end(data: tuple[Dataset, Dataset], config: SpokenPicturesConfig) -> None:
    speech = speech_of(data, config)
    row = speech.utterances[3][1]
    wave, sample_rate = data[1].wave(row)
    expected = UnitFilterBank()(resample(wave, sample_rate, 16000))
    for _ in range(2):
        np.testing.assert_allclose(speech.levels(row), expected, atol=0.05)


def test_batches_pad_with_the_loudest_level(data: tuple[Dataset, Dataset], config: SpokenPicturesConfig) -> None:
    speech = speech_of(data, config)
    rows = [speech.utterances[0][0], speech.utterances[11][1]]
    levels, n_frames = speech.batch(rows)
    assert levels.shape == (2, 40, int(n_frames.max()))
    for one, n, row in zip(levels, n_frames.tolist(), rows, strict=True):
        assert torch.equal(one[:, :n], torch.from_numpy(speech.levels(row)))
        assert (one[:, n:] == 0).all()
    levels, n_frames = speech.batch(rows, max_frames=33)
    assert levels.shape == (2, 40, 33)
    assert n_frames.tolist() == [31, 33]


def test_a_step_pairs_pictures_with_speech_about_them(
    data: tuple[Dataset, Dataset], config: SpokenPicturesConfig
) -> None:
    speech = speech_of(data, config)
    regions = torch.arange(2 * 12).view(2, 12, 1, 1).bfloat16()
    pairs = SpokenPictures(data[0].array("train", "pictures"), speech, config, regions)
    heard, seen = set(), set()
    for step in range(30):
        batch = pairs[StepItems(0, step, [7, 2])]
        again = pairs[StepItems(0, step, [7, 2])]
        assert all(torch.equal(one, other) for one, other in zip(batch, again, strict=True))
        assert (batch.pictures.flatten() % 12).tolist() == [7, 2]
        seen |= set(batch.pictures.flatten().tolist())
        for place, levels, n in zip([7, 2], batch.levels, batch.n_frames.tolist(), strict=True):
            matches = [
                i
                for i, row in enumerate(speech.utterances[place])
                if np.array_equal(levels[:, :n].numpy(), speech.levels(row))
            ]
            assert len(matches) == 1
            heard.add((place, matches[0]))
    assert heard == {(7, 0), (7, 1), (2, 0), (2, 1)}
    assert seen == {2, 7, 14, 19}


def test_pictures_are_shown_where_no_regions_are_known(
    data: tuple[Dataset, Dataset], config: SpokenPicturesConfig
) -> None:
    pairs = SpokenPictures(data[0].array("train", "pictures"), speech_of(data, config), config)
    batch = pairs[StepItems(0, 0, [0, 1, 2])]
    assert batch.pictures.shape == (3, 3, 16, 16)
    colours = batch.pictures.mean((2, 3)).argmax(1)
    assert colours.tolist() == [0, 1, 2]


def test_pictures_without_speech_are_left_out(
    data: tuple[Dataset, Dataset], config: SpokenPicturesConfig, tmp_path: Path
) -> None:
    rows = [row for row in data[1].rows("train") if row["picture_id"] != "train4"]
    rows[0] = {**rows[0], "duration_s": 99.0}
    write_manifest(tmp_path / "train.jsonl", rows)
    some = write_dataset(
        tmp_path, "some", splits=["train"], options={}, source="here", layout="here", licence="none",
        roots={"audio": data[1].folder},
    )  # fmt: skip
    speech = Speech(some, data[0].rows("train"), "train", config)
    assert speech.pictures == [0, 1, 2, 3, *range(5, 12)]
    assert [len(utterances) for utterances in speech.utterances] == [1] + [2] * 10
    regions = torch.arange(12.0).view(1, 12, 1, 1)
    pairs = SpokenPictures(data[0].array("train", "pictures"), speech, config, regions)
    assert pairs[StepItems(0, 0, [4])].pictures.item() == 5
    with pytest.raises(DataError, match=r"no utterance of train under 0\.1 s"):
        Speech(some, data[0].rows("train"), "train", replace(config, max_seconds=0.1))


def test_validation_comes_in_order_and_ends(data: tuple[Dataset, Dataset], config: SpokenPicturesConfig) -> None:
    shown = torch.arange(4.0).view(4, 1, 1).half()
    speech = speech_of(data, config, "dev")
    assert DEV_BATCH >= 4
    (batch,) = list(DevPairs(shown[:3], speech))
    assert batch.pictures.flatten().tolist() == [0, 1, 2]
    n_frames = [speech.levels(rows[0]).shape[1] for rows in speech.utterances[:3]]
    assert batch.n_frames.tolist() == n_frames
    assert DevPairs(shown, speech).n_pairs == 4

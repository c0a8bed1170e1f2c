"""Batches of mels and letters of several data sets."""

from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.vocabulary import build_letters
from optophone.data.heard_speech import HeardSpeech, HeardSpeechConfig, frames_needed, heard_plan, heard_rows
from optophone.data.mel_augmentation import MelAugmentationConfig
from optophone.data.steps import StepItems
from tiny_datasets import MEL, write_speech

LETTERS = build_letters()


def heard(*folders: Path, augmentation: MelAugmentationConfig | None = None) -> HeardSpeech:
    datasets = [write_speech(folder) for folder in folders]
    return HeardSpeech([(data, heard_rows(data, "train", 9.0)) for data in datasets], MEL, LETTERS, augmentation)


def test_a_batch_is_what_its_rows_are(tmp_path: Path) -> None:
    speech = heard(tmp_path / "a", tmp_path / "b")
    batch = speech.batch([12, 17, 13])
    assert batch.corpus == 1
    assert [LETTERS.decode(row[:n].tolist()) for row, n in zip(batch.ids, batch.id_lengths, strict=True)] == [
        "aa",
        "ccccccc",
        "bbb",
    ]
    assert batch.mel.shape == (3, 16, int(batch.mel_lengths.max()))
    np.testing.assert_array_equal(batch.mel[2, :, : int(batch.mel_lengths[2])], speech.batch([13]).mel[0])


def test_a_step_is_changed_by_chance_that_belongs_to_it(tmp_path: Path) -> None:
    speech = heard(tmp_path / "a", augmentation=MelAugmentationConfig())
    first, again, later = (speech[StepItems(0, step, [3, 4])].mel for step in (7, 7, 8))
    assert first.shape == again.shape
    assert (first == again).all()
    assert first.shape != later.shape or (first != later).any()
    assert speech.batch([3]).mel.shape == heard(tmp_path / "b").batch([3]).mel.shape


def test_letters_need_frames() -> None:
    assert frames_needed(LETTERS.encode("a ball")) == 7
    assert frames_needed([]) == 0


def test_data_sets_have_their_shares_of_the_steps(tmp_path: Path) -> None:
    folders = (str(tmp_path / "a"), str(tmp_path / "b"))
    speech = heard(*map(Path, folders))
    plan = heard_plan(speech, HeardSpeechConfig(folders, (0.75, 0.25), frames_per_batch=100, mel=MEL), 0)
    corpora = [{speech.items[index][0] for index in batch} for batch in plan(0)]
    assert all(len(numbers) == 1 for numbers in corpora)
    assert sum(numbers == {1} for numbers in corpora) == 250


def test_validation_is_of_every_data_set(tmp_path: Path) -> None:
    speech = heard(tmp_path / "a", tmp_path / "b")
    batches = speech.dev_batches(5)
    assert [(batch.corpus, len(batch.mel)) for batch in batches] == [(0, 5), (1, 5)]
    assert sum(len(batch.mel) for batch in speech.dev_batches(0)) == 24


def test_what_says_nothing_is_left_out(tmp_path: Path) -> None:
    data = write_speech(tmp_path / "a")
    rows = heard_rows(data, "train", 0.2)
    assert 0 < len(rows) < 12
    assert max(row["duration_s"] for row in rows) <= 0.2
    with pytest.raises(DataError, match="says words"):
        heard_rows(data, "train", 0.01)


@pytest.mark.parametrize(
    "options", [{"folders": ()}, {"folders": ("a", "b")}, {"folders": ("x/a", "y/a"), "shares": (0.5, 0.5)}]
)
def test_shares_must_fit(options: dict) -> None:
    with pytest.raises(ConfigurationError, match="data"):
        HeardSpeechConfig(**options)

"""Batches of symbols and mels: what is left out, padding, resampling."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError, DataError, VocabularyError
from optophone.core.mel import log_mel
from optophone.data.manifest import write_dataset, write_manifest
from optophone.data.speech import (
    FurtherSpeech,
    JoinedUtterances,
    SpeechConfig,
    Utterances,
    build_speech_vocabulary,
    collate,
    frame_counts,
    speaker_names,
    spoken_rows,
)
from optophone.data.steps import StepItems
from tiny_datasets import MEL, write_captioned_pictures, write_speech

CONFIG = SpeechConfig("", mel=MEL)


def build(folder: Path, sample_rate: int = MEL.sample_rate) -> Utterances:
    dataset = write_speech(folder, sample_rate)
    return Utterances(dataset, spoken_rows(dataset, "train", CONFIG), build_speech_vocabulary(), MEL)


def test_collation_pads_on_the_right_with_zeros() -> None:
    mels = [torch.full((2, 3), 5.0), torch.full((2, 4), 6.0)]
    batch = collate([torch.tensor([7, 8, 9]), torch.tensor([7])], mels)
    assert batch.ids.tolist() == [[7, 8, 9], [7, 0, 0]]
    assert batch.id_lengths.tolist() == [3, 1]
    assert batch.mel.shape == (2, 2, 4)
    assert batch.mel[0].tolist() == [[5, 5, 5, 0]] * 2
    assert batch.mel_lengths.tolist() == [3, 4]
    assert batch.mel.is_contiguous()


def test_a_batch_says_what_its_rows_say(tmp_path: Path) -> None:
    utterances = build(tmp_path)
    batch = utterances[StepItems(0, 0, [7, 2])]
    for i, index in enumerate((7, 2)):
        row = utterances.rows[index]
        ids = batch.ids[i, : batch.id_lengths[i]].tolist()
        assert utterances.vocabulary.decode(ids) == row["text"] + ".", "a voice only hears finished sentences"
        wave, _ = utterances.dataset.wave(row)
        mel = batch.mel[i, :, : batch.mel_lengths[i]]
        np.testing.assert_allclose(mel.numpy(), log_mel(wave, MEL), atol=0.01)
    assert batch.mel[1, :, batch.mel_lengths[1] :].abs().sum() == 0


def test_text_is_cleaned(tmp_path: Path) -> None:
    utterances = build(tmp_path)
    utterances.rows[0]["text"] = "Dr. Bee,  2 DOGS!"
    assert utterances.vocabulary.decode(utterances.batch([0]).ids[0].tolist()) == "doctor bee, two dogs!"


def test_symbols_that_the_voice_lacks_are_named(tmp_path: Path) -> None:
    utterances = build(tmp_path)
    utterances.vocabulary = replace(utterances.vocabulary, symbols=("<pad>", "a", "."))
    with pytest.raises(VocabularyError, match="'b'"):
        utterances.batch([1])


def test_mels_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utterances = build(tmp_path)
    first = utterances.batch([3, 4])

    def fail(*arguments: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("optophone.data.speech.log_mel", fail)
    assert torch.equal(utterances.batch([3, 4]).mel, first.mel)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 11025])
def test_any_sample_rate_gives_the_same_frames(tmp_path: Path, sample_rate: int) -> None:
    utterances = build(tmp_path, sample_rate)
    planned = frame_counts(utterances.rows, MEL)
    batch = utterances.batch(range(len(utterances)))
    assert (batch.mel_lengths - torch.tensor(planned)).abs().max() <= 1
    # The tone lies in the same band.
    at_8000 = build(tmp_path / "reference").batch(range(len(utterances)))
    assert torch.equal(batch.mel[:, :, 5].argmax(1), at_8000.mel[:, :, 5].argmax(1))


def test_frames_follow_from_the_duration(tmp_path: Path) -> None:
    utterances = build(tmp_path)
    assert utterances.batch(range(12)).mel_lengths.tolist() == frame_counts(utterances.rows, MEL)


def test_long_and_silent_rows_are_left_out(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "long", "text": "a", "duration_s": 2.0},
        {"id": "limit", "text": "b", "duration_s": 1.0},
        {"id": "mute", "text": "  ", "duration_s": 0.5},
        {"id": "good", "text": "c", "duration_s": 0.5},
        {"id": "no speech"},
    ]
    write_manifest(tmp_path / "train.jsonl", rows)
    dataset = write_dataset(tmp_path, "x", splits=["train"], options={}, source="", layout="", licence="")
    found = spoken_rows(dataset, "train", replace(CONFIG, max_seconds=1.0))
    assert [row["id"] for row in found] == ["limit", "good"]
    with pytest.raises(DataError, match=r"no utterance of train .*under 0.1 s"):
        spoken_rows(dataset, "train", replace(CONFIG, max_seconds=0.1))


def test_a_data_set_of_pictures_has_no_utterances(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no utterance of train"):
        spoken_rows(write_captioned_pictures(tmp_path), "train", CONFIG)


@pytest.fixture
def two_voices_and_one(tmp_path: Path) -> list[Utterances]:
    """Rows of Zoe and Ann in turn, and rows that name nobody."""
    datasets = [write_speech(tmp_path / "two", speakers=("Zoe", "Ann")), write_speech(tmp_path / "one")]
    corpora = [(dataset, spoken_rows(dataset, "train", CONFIG)) for dataset in datasets]
    names = speaker_names(corpora)
    assert names == ("Ann", "Zoe", "tiny"), "the data set's name stands for a voice without one"
    return [Utterances(*corpus, build_speech_vocabulary(), MEL, names) for corpus in corpora]


def test_batches_say_whose_voice_it_is(two_voices_and_one: list[Utterances]) -> None:
    two, one = two_voices_and_one
    for utterances, expected in ((two, [1, 0, 1]), (one, [2, 2, 2])):
        found = utterances[StepItems(0, 0, [4, 7, 2])].speakers
        assert found is not None
        assert found.tolist() == expected


def test_voices_are_not_told_apart_unless_asked(tmp_path: Path) -> None:
    dataset = write_speech(tmp_path, speakers=("Zoe", "Ann"))
    utterances = Utterances(dataset, dataset.rows("train"), build_speech_vocabulary(), MEL)
    assert utterances.batch([0, 1]).speakers is None


def test_a_voice_without_training_is_named(tmp_path: Path) -> None:
    dataset = write_speech(tmp_path, speakers=("Zoe", "Ann"))
    with pytest.raises(DataError, match="train0 is spoken by 'Zoe'"):
        Utterances(dataset, dataset.rows("train"), build_speech_vocabulary(), MEL, ("Ann",))


def test_joined_rows_follow_each_other(two_voices_and_one: list[Utterances]) -> None:
    two, one = two_voices_and_one
    joined = JoinedUtterances([two, one])
    assert len(joined) == 24
    for indices, part, inside in (([0, 11], two, [0, 11]), ([12, 23], one, [0, 11])):
        torch.testing.assert_close(joined[StepItems(0, 0, indices)], part.batch(inside), rtol=0, atol=0)


def test_the_main_data_set_has_the_share_that_is_left() -> None:
    config = SpeechConfig("main", also=(FurtherSpeech("a", 0.25), FurtherSpeech("b", 0.5)))
    assert config.folders == ("main", "a", "b")
    assert config.shares == (0.25, 0.25, 0.5)
    assert SpeechConfig("main").shares == (1.0,)


@pytest.mark.parametrize("shares", [[0.0], [-0.1], [1.0], [1.5], [float("nan")], [0.5, 0.5], [0.9, 0.4]])
def test_impossible_shares_are_refused(shares: list[float]) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.also: .*(the share of further|nothing for main)"):
        SpeechConfig("main", also=tuple(FurtherSpeech("further", share) for share in shares))

"""Segments of utterances: samples and the frames that belong to them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.mel import log_mel
from optophone.data.steps import StepItems
from optophone.data.voice_segments import SegmentsConfig, VoiceSegments, sounding_rows
from tiny_datasets import MEL, write_labelled_pictures, write_speech


@pytest.fixture
def segments(tmp_path: Path) -> VoiceSegments:
    dataset = write_speech(tmp_path)
    config = SegmentsConfig(str(tmp_path), segment_samples=900, dev_samples=1000, mel=MEL)
    return VoiceSegments(dataset, sounding_rows(dataset, "train"), config)


def test_a_segment_is_samples_with_their_frames(segments: VoiceSegments) -> None:
    batch = segments[StepItems(0, 3, [5, 11])]
    assert batch.mel.shape == (2, 16, 900 // 64 + 1)
    assert batch.audio.shape == (2, 900)
    assert batch.mel.dtype == batch.audio.dtype == torch.float32
    for i, index in enumerate((5, 11)):
        wave, _ = segments.dataset.wave(segments.rows[index])
        starts = [
            start
            for start in range(0, len(wave) - 899, MEL.hop_length)
            if np.abs(wave[start : start + 900] - batch.audio[i].numpy()).max() < 1e-3
        ]
        mel = log_mel(wave, MEL)
        frames = [mel[:, start // 64 :][:, :15] for start in starts]
        assert any(np.abs(frame - batch.mel[i].numpy()).max() < 0.01 for frame in frames)


def test_places_belong_to_the_step(segments: VoiceSegments) -> None:
    first, again, later = (segments[StepItems(0, step, [10, 11])] for step in (1, 1, 2))
    assert torch.equal(first.audio, again.audio)
    assert torch.equal(first.mel, again.mel)
    assert not torch.equal(first.audio, later.audio)


def test_a_short_utterance_ends_in_silence(segments: VoiceSegments) -> None:
    wave, _ = segments.dataset.wave(segments.rows[0])
    assert len(wave) < 900
    batch = segments[StepItems(0, 0, [0])]
    assert not batch.audio[0, len(wave) :].any()
    np.testing.assert_allclose(batch.audio[0, : len(wave)].numpy(), wave, atol=1e-4)
    assert batch.mel[0, :, -1].tolist() == pytest.approx([np.log(MEL.floor)] * 16)


def test_middles_are_always_the_same(segments: VoiceSegments) -> None:
    first, again = (segments.middles([9, 2]) for _ in range(2))
    assert torch.equal(first.audio, again.audio)
    assert first.audio.shape == (2, 1000)


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    dataset = write_speech(tmp_path)
    config = SegmentsConfig(str(tmp_path), segment_samples=900, mel=MEL)
    rows = sounding_rows(dataset, "train")
    kept = VoiceSegments(dataset, rows, config)
    forgetful = VoiceSegments(dataset, rows, replace(config, keep_hours=0.0))
    for segments in (kept, forgetful):
        segments[StepItems(0, 0, list(range(12)))]
    assert (len(kept.kept), len(forgetful.kept)) == (12, 0)
    items = StepItems(0, 7, [3, 4, 5])
    assert torch.equal(kept[items].audio, forgetful[items].audio)


def test_another_sample_rate_is_converted(tmp_path: Path) -> None:
    dataset = write_speech(tmp_path, sample_rate=16000)
    config = SegmentsConfig(str(tmp_path), segment_samples=900, mel=MEL)
    segments = VoiceSegments(dataset, sounding_rows(dataset, "train"), config)
    assert segments[StepItems(0, 0, [11])].audio.shape == (1, 900)
    assert len(segments.kept[11][1]) == pytest.approx(dataset.rows("train")[11]["n_samples"] / 2, abs=2)


def test_mistakes_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="segment_samples is 100"):
        SegmentsConfig("x", segment_samples=100)
    with pytest.raises(DataError, match="no row of train has sound"):
        sounding_rows(write_labelled_pictures(tmp_path), "train")

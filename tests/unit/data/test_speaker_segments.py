"""Segments of speech with context and speakers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.data.speaker_segments import (
    UNKNOWN_SPEAKER,
    SpeakerSegments,
    SpeakerSegmentsConfig,
    Spoken,
    segment_plan,
    utterances_of,
)
from optophone.data.steps import StepItems
from tiny_datasets import write_labelled_pictures, write_speech

BANK = UnitFilterBankConfig(sample_rate=8000, n_fft=128, hop_length=40, n_mels=12)
SIZE, CONTEXT, N_UNITS = 4, 2, 3  # frames of a unit, units of context, units of a segment
UNIT = SIZE * BANK.hop_length


def spoken(folder: Path, sample_rate: int = 8000, speakers: tuple[str, ...] = ()) -> list[Spoken]:
    return utterances_of([write_speech(folder, sample_rate, speakers, noise=2000)], "train")


def build(utterances: list[Spoken], keep_hours: float = 1.0, speakers: tuple[str, ...] = ("tiny",)) -> SpeakerSegments:
    config = SpeakerSegmentsConfig(("x",), (), N_UNITS, 4, 5, keep_hours=keep_hours, bank=BANK)
    return SpeakerSegments(utterances, speakers, config, SIZE, CONTEXT)


@pytest.fixture
def segments(tmp_path: Path) -> SpeakerSegments:
    return build(spoken(tmp_path))


def test_a_segment_is_samples_with_the_frames_around_them(segments: SpeakerSegments) -> None:
    batch = segments[StepItems(0, 3, [5, 11])]
    assert batch.levels.shape == (2, 12, (N_UNITS + 2 * CONTEXT) * SIZE)
    assert batch.wave.shape == (2, N_UNITS * UNIT)
    assert batch.levels.dtype == batch.wave.dtype == torch.float32
    for i, index in enumerate((5, 11)):
        wave, _ = segments.utterances[index].dataset.wave(segments.utterances[index].row)
        levels = UnitFilterBank(BANK)(wave)
        padded = np.pad(levels, ((0, 0), (CONTEXT * SIZE, 200)), constant_values=-80.0)
        inside = np.pad(np.ones(levels.shape[1], dtype=bool), (CONTEXT * SIZE, 200))
        n_starts = levels.shape[1] // SIZE - N_UNITS + 1
        same = [
            np.abs(wave[start * UNIT :][: N_UNITS * UNIT] - batch.wave[i].numpy()).max() < 1e-3
            and np.abs(padded[:, start * SIZE :][:, : batch.levels.shape[2]] - batch.levels[i].numpy()).max() < 0.05
            and np.array_equal(inside[start * SIZE :][: batch.levels.shape[2]], batch.frames_mask[i].numpy())
            for start in range(n_starts)
        ]
        assert sum(same) == 1


def test_segments_begin_everywhere_and_with_the_step(segments: SpeakerSegments) -> None:
    first, again = (segments[StepItems(0, 1, [10, 11])] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    starts = {int((~segments[StepItems(0, step, [11])].frames_mask[0]).sum()) for step in range(40)}
    assert {0, CONTEXT * SIZE} <= starts


def test_what_is_short_ends_in_silence_that_is_not_valid(segments: SpeakerSegments) -> None:
    wave, _ = segments.utterances[0].dataset.wave(segments.utterances[0].row)
    short = SpeakerSegments(segments.utterances, [], replace(segments.config, segment_units=9), SIZE, CONTEXT)
    batch = short[StepItems(0, 0, [0])]
    assert not batch.wave[0, len(wave) :].any()
    np.testing.assert_allclose(batch.wave[0, : len(wave)].numpy(), wave, atol=1e-4)
    n_frames = UnitFilterBank(BANK).frames_for(len(wave))
    assert batch.frames_mask[0].nonzero().flatten().tolist() == list(range(8, 8 + n_frames))
    assert (batch.levels[0][:, ~batch.frames_mask[0]] == -80).all()


def test_speakers_are_numbered_over_all_data_sets(tmp_path: Path) -> None:
    datasets = [write_speech(tmp_path / "one", speakers=("a", "b")), write_speech(tmp_path / "other")]
    utterances = utterances_of(datasets, "train")
    assert [item.dataset for item in utterances] == [datasets[0]] * 12 + [datasets[1]] * 12
    segments = build(utterances, speakers=("tiny", "a", "b"))
    assert segments[StepItems(0, 0, [0, 1, 2, 12])].speakers.tolist() == [1, 2, 1, 0]
    assert build(utterances, speakers=("b",)).middles([0, 1]).speakers.tolist() == [UNKNOWN_SPEAKER, 0]


def test_data_sets_have_their_shares_of_the_steps(tmp_path: Path) -> None:
    datasets = [write_speech(tmp_path / name) for name in ("one", "other")]
    utterances = utterances_of(datasets, "train")
    config = SpeakerSegmentsConfig(("one", "other"), (0.25, 0.75), batch_size=3)
    batches = segment_plan(utterances, datasets, config, seed=1)(0)
    sides = [{int(index >= 12) for index in batch} for batch in batches]
    assert all(len(side) == 1 for side in sides)
    assert np.mean([side == {1} for side in sides]) == pytest.approx(0.75, abs=0.01)
    alike = segment_plan(utterances, datasets, replace(config, shares=()), seed=1)(0)
    assert sorted(index for batch in alike for index in batch) == list(range(24))


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    utterances = spoken(tmp_path)
    kept, forgetful = build(utterances), build(utterances, keep_hours=0.0)
    for segments in (kept, forgetful):
        segments[StepItems(0, 0, list(range(12)))]
    assert (len(kept.kept), len(forgetful.kept)) == (12, 0)
    items = StepItems(0, 7, [3, 4, 5])
    assert torch.equal(kept[items].levels, forgetful[items].levels)


def test_another_sample_rate_is_converted(tmp_path: Path) -> None:
    segments = build(spoken(tmp_path, 16000))
    assert segments.middles([11]).wave.shape == (1, 5 * UNIT)
    assert len(segments.kept[11][1]) == pytest.approx(segments.utterances[11].row["n_samples"] / 2, abs=2)


def test_mistakes_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="segment_units is 0"):
        SpeakerSegmentsConfig(("x",), segment_units=0)
    with pytest.raises(ConfigurationError, match="folders"):
        SpeakerSegmentsConfig(())
    for shares in ((1.0,), (0.5, 0.4), (1.0, 0.0)):
        with pytest.raises(ConfigurationError, match="shares"):
            SpeakerSegmentsConfig(("x", "y"), shares)
    with pytest.raises(DataError, match="no row of train has sound"):
        utterances_of([write_labelled_pictures(tmp_path)], "train")

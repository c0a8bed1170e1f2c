"""Segments of speech with the frames around them and who speaks, from one or several data sets: for learning to say
units again."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.data.manifest import Dataset, Row
from optophone.data.speech import speaker_of
from optophone.data.steps import MIXED_STEPS, Plan, StepItems, mixed_plan, shuffled_plan

UNKNOWN_SPEAKER = -1


@dataclass(frozen=True)
class SpeakerSegmentsConfig:
    """Which segments, and how they are batched.

    Args:
        folders: prepared speech data sets; a speaker is a row's "speaker", or the name of its data set where it
            has none.
        shares: of the steps, for each of `folders`, adding up to 1; each step's segments are of one of them. Without,
            all utterances come equally often.
        segment_units: units of a training segment.
        batch_size: segments of a step, each from another utterance.
        dev_units: units of a segment of the validation.
        dev_limit: utterances of the validation during training; 0 for all.
        keep_hours: so many hours of sound stay in memory once decoded, at 140 MB an hour.
        bank: the front end of the units.
    """

    folders: tuple[str, ...]
    shares: tuple[float, ...] = ()
    segment_units: int = 8
    batch_size: int = 64
    dev_units: int = 50
    dev_limit: int = 32
    keep_hours: float = 10.0
    bank: UnitFilterBankConfig = field(default_factory=UnitFilterBankConfig)

    def __post_init__(self) -> None:
        """Refuse segments of no length, and no data."""
        for name in ("segment_units", "dev_units"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"data.{name} is {getattr(self, name)}; give at least 1.")
        if not self.folders:
            raise ConfigurationError("data.folders: is empty; give at least one prepared speech data set.")
        if self.shares and (
            len(self.shares) != len(self.folders)
            or min(self.shares) < 1 / MIXED_STEPS
            or not math.isclose(sum(self.shares), 1, abs_tol=1e-6)
        ):
            raise ConfigurationError(
                f"data.shares: are {list(self.shares)}; give one of at least {1 / MIXED_STEPS} for each of folders, in "
                "all 1, or none."
            )


class SpeakerSegmentBatch(NamedTuple):
    """Segments of U units.

    Fields: levels (B, M, T) decibels of the units and of as much context before as after them; frames_mask (B, T) true
    inside the utterance; wave (B, N) samples of the U units alone, silence beyond the end; speakers (B,) int64, -1 for
    one that is not in the list.
    """

    levels: Tensor
    frames_mask: Tensor
    wave: Tensor
    speakers: Tensor


class Spoken(NamedTuple):
    """An utterance: the data set that has it, and its row."""

    dataset: Dataset
    row: Row


def utterances_of(datasets: Iterable[Dataset], split: str) -> list[Spoken]:
    """The utterances of `split` of all `datasets`, those of one after those of another.

    Raises:
        DataError: none has sound.
    """
    datasets = list(datasets)
    found = [
        Spoken(dataset, row) for dataset in datasets for row in dataset.rows(split) if row.get("duration_s", 0) > 0
    ]
    if not found:
        folders = ", ".join(str(dataset.folder) for dataset in datasets)
        raise DataError(f"{folders}: no row of {split} has sound; prepare a speech data set.")
    return found


def segment_plan(
    utterances: Sequence[Spoken], datasets: Sequence[Dataset], config: SpeakerSegmentsConfig, seed: int
) -> Plan:
    """Which of `utterances` (of `utterances_of(datasets)`) are in each step.

    Raises:
        ConfigurationError: a data set has fewer utterances than a step.
    """
    if not config.shares:
        return shuffled_plan(len(utterances), config.batch_size, seed)
    sizes = [sum(utterance.dataset is dataset for utterance in utterances) for dataset in datasets]
    plans = [shuffled_plan(size, config.batch_size, seed) for size in sizes]
    return mixed_plan(plans, sizes, config.shares, seed)


class SpeakerSegments(TorchDataset):
    """Batches of random segments, by step. A segment begins where a unit of the whole utterance begins.

    Levels are those of whole utterances, and come with context, so that a segment's units are those that the utterance
    has when units are extracted.

    Args:
        utterances: see `utterances_of`.
        speakers: names by number; those of the training, for the validation too.
        config: how segments are cut.
        frames_per_unit: of the encoder that reads them.
        context_units: units of context on either side.
    """

    def __init__(
        self,
        utterances: Sequence[Spoken],
        speakers: Sequence[str],
        config: SpeakerSegmentsConfig,
        frames_per_unit: int,
        context_units: int,
    ) -> None:
        self.utterances, self.config, self.bank = utterances, config, UnitFilterBank(config.bank)
        self.numbers = {name: number for number, name in enumerate(speakers)}
        self.frames_per_unit, self.context_units = frames_per_unit, context_units
        self.kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.n_kept = 0  # samples

    def __getitem__(self, items: StepItems) -> SpeakerSegmentBatch:
        """The batch of one step."""
        places = items.generator().random(len(items.indices))
        return self._batch(items.indices, places, self.config.segment_units)

    def middles(self, indices: Sequence[int]) -> SpeakerSegmentBatch:
        """The middle of utterances `indices`, for the validation."""
        return self._batch(indices, [0.5] * len(indices), self.config.dev_units)

    def __len__(self) -> int:
        return len(self.utterances)

    def _batch(self, indices: Sequence[int], places: Sequence[float] | np.ndarray, n_units: int) -> SpeakerSegmentBatch:
        segments = [self._segment(i, place, n_units) for i, place in zip(indices, places, strict=True)]
        levels, masks, waves = (torch.from_numpy(np.stack(parts)) for parts in zip(*segments, strict=True))
        numbers = [self.numbers.get(speaker_of(*self.utterances[i]), UNKNOWN_SPEAKER) for i in indices]
        return SpeakerSegmentBatch(levels, masks, waves, torch.tensor(numbers))

    def _segment(self, index: int, place: float, n_units: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Levels (M, T), mask (T,) and samples (N,); `place` from 0 to 1 goes over all units that it can begin at."""
        levels, wave = self._utterance(index)
        size, n_frames = self.frames_per_unit, levels.shape[1]
        n_starts = max(0, n_frames // size - n_units) + 1
        start = min(int(place * n_starts), n_starts - 1)
        first, last = (start - self.context_units) * size, (start + n_units + self.context_units) * size
        before, after = max(0, -first), max(0, last - n_frames)
        shown = levels[:, max(0, first) : last].astype(np.float32)
        shown = np.pad(shown, ((0, 0), (before, after)), constant_values=-self.config.bank.range_db)
        inside = np.pad(np.ones(last - first - before - after, dtype=bool), (before, after))
        n_samples = n_units * size * self.config.bank.hop_length
        samples = wave[start * size * self.config.bank.hop_length :][:n_samples].astype(np.float32) / 32768.0
        return shown, inside, np.pad(samples, (0, n_samples - len(samples)))

    def _utterance(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Levels (M, T) float16 and samples (N,) int16 of a whole utterance."""
        if index in self.kept:
            return self.kept[index]
        utterance, wanted = self.utterances[index], self.config.bank.sample_rate
        wave, sample_rate = utterance.dataset.wave(utterance.row)
        if sample_rate != wanted:
            wave = resample(wave, sample_rate, wanted)
        found = self.bank(wave).astype(np.float16), np.round(wave.clip(-1, 1) * 32767.0).astype(np.int16)
        if self.n_kept + len(wave) <= self.config.keep_hours * 3600 * wanted:
            self.kept[index] = found
            self.n_kept += len(wave)
        return found

"""Segments of utterances for training vocoders: samples, and the mel frames that belong to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.mel import MelSpec, log_mel
from optophone.data.manifest import Dataset, Row
from optophone.data.steps import StepItems


@dataclass(frozen=True)
class SegmentsConfig:
    """Which segments, and how they are batched.

    Args:
        folder: a prepared speech data set.
        segment_samples: samples of a training segment.
        batch_size: segments of a step, each from another utterance.
        dev_samples: samples of a segment of the validation.
        dev_limit: utterances of the validation during training; 0 for all.
        keep_hours: so many hours of sound stay in memory once decoded, at 200 MB an hour.
    """

    folder: str
    segment_samples: int = 16000
    batch_size: int = 12
    dev_samples: int = 32000
    dev_limit: int = 8
    keep_hours: float = 2.0
    mel: MelSpec = field(default_factory=MelSpec)

    def __post_init__(self) -> None:
        """Refuse segments of no length."""
        for name in ("segment_samples", "dev_samples"):
            if getattr(self, name) < self.mel.n_fft:
                raise ConfigurationError(f"data.{name} is {getattr(self, name)}; give at least {self.mel.n_fft}.")


class SegmentBatch(NamedTuple):
    """Segments: mel (B, M, N // hop_length + 1) and the samples audio (B, N) that begin at its first frame."""

    mel: Tensor
    audio: Tensor


def sounding_rows(dataset: Dataset, split: str) -> list[Row]:
    """The rows of `split` that have sound; DataError where there is none."""
    rows = [row for row in dataset.rows(split) if "duration_s" in row]
    if not rows:
        raise DataError(f"{dataset.folder}: no row of {split} has sound; prepare a speech data set.")
    return rows


class VoiceSegments(TorchDataset):
    """Batches of random segments, by step. A segment begins at a frame; beyond the end of an utterance is silence.

    Mels are those of the whole utterances, so a segment's frames are the ones that the same sound has when speaking.
    """

    def __init__(self, dataset: Dataset, rows: list[Row], config: SegmentsConfig) -> None:
        self.dataset, self.rows, self.config = dataset, rows, config
        self.kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.n_kept = 0  # samples

    def __getitem__(self, items: StepItems) -> SegmentBatch:
        """The batch of one step."""
        places = items.generator().random(len(items.indices))
        return self._batch(items.indices, places, self.config.segment_samples)

    def middles(self, indices: Sequence[int]) -> SegmentBatch:
        """The middle of rows `indices`, for the validation."""
        return self._batch(indices, [0.5] * len(indices), self.config.dev_samples)

    def __len__(self) -> int:
        return len(self.rows)

    def _batch(self, indices: Sequence[int], places: Sequence[float] | np.ndarray, n_samples: int) -> SegmentBatch:
        segments = [self._segment(i, place, n_samples) for i, place in zip(indices, places, strict=True)]
        mels, waves = zip(*segments, strict=True)
        return SegmentBatch(torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(waves)))

    def _segment(self, index: int, place: float, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        """Mel (M, T) and samples (N,) float32; `place` from 0 to 1 goes over all frames that a segment can begin at."""
        mel, wave = self._utterance(index)
        spec = self.config.mel
        n_starts = max(0, len(wave) - n_samples) // spec.hop_length + 1
        start = min(int(place * n_starts), n_starts - 1)
        frames = mel[:, start : start + n_samples // spec.hop_length + 1].astype(np.float32)
        samples = wave[start * spec.hop_length :][:n_samples].astype(np.float32) / 32767.0
        n_lacking = n_samples // spec.hop_length + 1 - frames.shape[1]
        frames = np.pad(frames, ((0, 0), (0, n_lacking)), constant_values=np.log(spec.floor))
        return frames, np.pad(samples, (0, n_samples - len(samples)))

    def _utterance(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mel (M, T) float16 and samples (N,) int16 of a whole utterance."""
        if index in self.kept:
            return self.kept[index]
        spec = self.config.mel
        wave, sample_rate = self.dataset.wave(self.rows[index])
        if sample_rate != spec.sample_rate:
            wave = resample(wave, sample_rate, spec.sample_rate)
        found = log_mel(wave, spec).astype(np.float16), np.round(wave.clip(-1, 1) * 32767.0).astype(np.int16)
        if self.n_kept + len(wave) <= self.config.keep_hours * 3600 * spec.sample_rate:
            self.kept[index] = found
            self.n_kept += len(wave)
        return found

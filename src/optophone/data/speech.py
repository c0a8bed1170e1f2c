"""Utterances as batches for training: symbols and the mel of the voice that says them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.audio import resample
from optophone.core.errors import DataError
from optophone.core.mel import MelSpec, frames_for, log_mel
from optophone.core.text import clean_text, end_sentence
from optophone.core.vocabulary import Vocabulary, tacotron2_characters
from optophone.data.manifest import Dataset, Row
from optophone.data.steps import StepItems


@dataclass(frozen=True)
class SpeechConfig:
    """Which utterances, and how they are batched.

    Args:
        folder: a prepared speech data set.
        symbols: what the text is written in.
        frames_per_batch: padded mel frames of a step.
        max_batch: most utterances of a step.
        max_seconds: longer utterances are left out; they cost memory and teach little.
        dev_limit: utterances of the validation during training; 0 for all.
    """

    folder: str
    symbols: Literal["characters"] = "characters"
    frames_per_batch: int = 8000
    max_batch: int = 64
    max_seconds: float = 9.0
    dev_limit: int = 64
    mel: MelSpec = field(default_factory=MelSpec)


class SpeechBatch(NamedTuple):
    """One step's utterances: ids (B, S), id_lengths (B,), mel (B, M, T), mel_lengths (B,), all right-padded."""

    ids: Tensor
    id_lengths: Tensor
    mel: Tensor
    mel_lengths: Tensor


def build_speech_vocabulary() -> Vocabulary:
    """The characters of the public Tacotron 2 checkpoints, so that ours and theirs are read alike."""
    return tacotron2_characters()


def spoken_rows(dataset: Dataset, split: str, config: SpeechConfig) -> list[Row]:
    """The rows of `split` that are short enough and have text."""
    spoken = [row for row in dataset.rows(split) if "duration_s" in row and row.get("text", "").strip()]
    rows = [row for row in spoken if row["duration_s"] <= config.max_seconds]
    if not rows:
        raise DataError(f"{dataset.folder}: no utterance of {split} has text and is under {config.max_seconds} s.")
    return rows


def frame_counts(rows: Sequence[Row], spec: MelSpec) -> list[int]:
    """Frames of each utterance, from its duration."""
    return [frames_for(round(row["duration_s"] * spec.sample_rate), spec) for row in rows]


class Utterances(TorchDataset):
    """Batches of symbols and mels, by step. Mels are kept after their first use, at half precision."""

    def __init__(self, dataset: Dataset, rows: list[Row], vocabulary: Vocabulary, spec: MelSpec) -> None:
        self.dataset, self.rows, self.vocabulary, self.spec = dataset, rows, vocabulary, spec
        self.mels: dict[int, np.ndarray] = {}

    def __getitem__(self, items: StepItems) -> SpeechBatch:
        """The batch of one step."""
        return self.batch(items.indices)

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        """Rows `indices`, collated."""
        ids = [self._symbols(index) for index in indices]
        mels = [self._mel(index) for index in indices]
        return collate([torch.tensor(symbols) for symbols in ids], [torch.from_numpy(mel).float() for mel in mels])

    def _symbols(self, index: int) -> list[int]:
        return self.vocabulary.encode(end_sentence(clean_text(self.rows[index]["text"])))

    def _mel(self, index: int) -> np.ndarray:
        if index not in self.mels:
            wave, sample_rate = self.dataset.wave(self.rows[index])
            if sample_rate != self.spec.sample_rate:
                wave = resample(wave, sample_rate, self.spec.sample_rate)
            self.mels[index] = log_mel(wave, self.spec).astype(np.float16)
        return self.mels[index]

    def __len__(self) -> int:
        return len(self.rows)


def collate(ids: list[Tensor], mels: list[Tensor]) -> SpeechBatch:
    """Right-pad symbols (S,) with 0 and mels (M, T) with 0."""
    return SpeechBatch(
        torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        torch.tensor([len(symbols) for symbols in ids]),
        torch.nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2).contiguous(),
        torch.tensor([mel.shape[1] for mel in mels]),
    )

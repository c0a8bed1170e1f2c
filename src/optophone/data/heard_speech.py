"""Utterances as batches for training recognisers: mels, changed by chance, and the letters that were said."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.mel import MelSpec, frames_for, log_mel
from optophone.core.text import spoken_words
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import Dataset, Row
from optophone.data.mel_augmentation import MelAugmentationConfig, augment_mel
from optophone.data.steps import MIXED_STEPS, Plan, StepItems, length_plan, mixed_plan

_DEV_BATCH = 16


@dataclass(frozen=True)
class HeardSpeechConfig:
    """Which utterances, and how they are batched.

    Args:
        folders: prepared speech data sets with text; the development splits of all are validated on.
        shares: of the steps, for each of `folders`, adding up to 1; a step's utterances all come from one data set. Not
            needed for a single one.
        frames_per_batch: padded mel frames of a step.
        max_batch: most utterances of a step.
        max_seconds: longer utterances are left out.
        dev_limit: utterances of each data set that are validated on during training; 0 for all.
    """

    folders: tuple[str, ...]
    shares: tuple[float, ...] = (1.0,)
    frames_per_batch: int = 6000
    max_batch: int = 64
    max_seconds: float = 17.0
    dev_limit: int = 64
    mel: MelSpec = field(default_factory=MelSpec)

    def __post_init__(self) -> None:
        """Refuse shares that leave a data set without steps."""
        names = {Path(folder).name for folder in self.folders}
        if not self.folders or len(names) < len(self.folders):
            raise ConfigurationError("data.folders: give at least one, and no two of the same name.")
        fit = len(self.shares) == len(self.folders) and min(self.shares) >= 1 / MIXED_STEPS
        if not (fit and math.isclose(sum(self.shares), 1, abs_tol=1e-6)):
            raise ConfigurationError(
                f"data.shares: are {list(self.shares)}; give one of at least {1 / MIXED_STEPS} for each of folders, in "
                "all 1."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """What the data sets are called in figures: their folders' own names."""
        return tuple(Path(folder).name for folder in self.folders)


class HeardBatch(NamedTuple):
    """Utterances, right-padded.

    Fields: mel (B, M, T), mel_lengths (B,), ids (B, S) letters, id_lengths (B,); corpus, the number of the data set
    that all of them are from.
    """

    mel: Tensor
    mel_lengths: Tensor
    ids: Tensor
    id_lengths: Tensor
    corpus: int


class HeardSpeech(TorchDataset):
    """Batches of mels and letters of several data sets, by step. Mels are kept after their first use, half precise.

    Args:
        corpora: data sets with the rows that are heard; the rows of the second follow those of the first.
        spec: of the mels.
        vocabulary: of the letters.
        augmentation: how mels are changed by chance; None leaves them.
        stride: frames of the mel that a frame of the recogniser has; speech is not made too fast for it.
    """

    def __init__(
        self,
        corpora: Sequence[tuple[Dataset, list[Row]]],
        spec: MelSpec,
        vocabulary: Vocabulary,
        augmentation: MelAugmentationConfig | None = None,
        stride: int = 1,
    ) -> None:
        self.items = [(number, row) for number, (_, rows) in enumerate(corpora) for row in rows]
        self.datasets = [dataset for dataset, _ in corpora]
        self.spec, self.vocabulary, self.augmentation, self.stride = spec, vocabulary, augmentation, stride
        self.mels: dict[int, np.ndarray] = {}

    def __getitem__(self, items: StepItems) -> HeardBatch:
        """The batch of one step, changed by chance."""
        return self.batch(items.indices, items.generator())

    def batch(self, indices: Sequence[int], random: np.random.Generator | None = None) -> HeardBatch:
        """Rows `indices`, all of one data set, collated; as they are without `random`."""
        ids = [self.letters(index) for index in indices]
        mels = [self._mel(index, ids[place], random) for place, index in enumerate(indices)]
        return HeardBatch(
            torch.nn.utils.rnn.pad_sequence([torch.from_numpy(mel.T) for mel in mels], batch_first=True)
            .transpose(1, 2)
            .contiguous(),
            torch.tensor([mel.shape[1] for mel in mels]),
            torch.nn.utils.rnn.pad_sequence([torch.tensor(letters) for letters in ids], batch_first=True),
            torch.tensor([len(letters) for letters in ids]),
            self.items[indices[0]][0],
        )

    def letters(self, index: int) -> list[int]:
        """What row `index` says."""
        return self.vocabulary.encode(" ".join(spoken_words(self.items[index][1]["text"])))

    def dev_batches(self, limit: int) -> list[HeardBatch]:
        """The first `limit` rows of every data set (0: all), 16 at a time, as they are."""
        batches = []
        for number in range(len(self.datasets)):
            own = [index for index, (corpus, _) in enumerate(self.items) if corpus == number]
            own = own[: limit or len(own)]
            batches += [self.batch(own[first : first + _DEV_BATCH]) for first in range(0, len(own), _DEV_BATCH)]
        return batches

    def __len__(self) -> int:
        return len(self.items)

    def _mel(self, index: int, letters: Sequence[int], random: np.random.Generator | None) -> np.ndarray:
        if index not in self.mels:
            corpus, row = self.items[index]
            wave = resample(*self.datasets[corpus].wave(row), self.spec.sample_rate)
            self.mels[index] = log_mel(wave, self.spec).astype(np.float16)
        mel = self.mels[index].astype(np.float32)
        if random is None or self.augmentation is None:
            return mel
        return augment_mel(mel, self.spec, self.augmentation, random, self.stride * frames_needed(letters))


def frames_needed(letters: Sequence[int]) -> int:
    """Frames of a recogniser that `letters` need: one each, and a blank between equal ones."""
    return len(letters) + sum(first == second for first, second in itertools.pairwise(letters))


def heard_rows(dataset: Dataset, split: str, max_seconds: float) -> list[Row]:
    """The rows of `split` that have sound of at most `max_seconds` and say words.

    Raises:
        DataError: there is none.
    """
    short = [row for row in dataset.rows(split) if row.get("duration_s", math.inf) <= max_seconds]
    rows = [row for row in short if spoken_words(row.get("text", ""))]
    if not rows:
        raise DataError(f"{dataset.folder}: no utterance of {split} says words in at most {max_seconds} s.")
    return rows


def heard_plan(speech: HeardSpeech, config: HeardSpeechConfig, seed: int) -> Plan:
    """Which of `speech` are in each step: utterances of similar length, of each data set its share."""
    plans, sizes = [], []
    for number in range(len(speech.datasets)):
        seconds = [row["duration_s"] for corpus, row in speech.items if corpus == number]
        frames = [frames_for(round(duration * config.mel.sample_rate), config.mel) for duration in seconds]
        plans.append(length_plan(frames, config.frames_per_batch, config.max_batch, seed))
        sizes.append(len(frames))
    return plans[0] if len(plans) == 1 else mixed_plan(plans, sizes, config.shares, seed)

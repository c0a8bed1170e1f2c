"""Utterances as batches for training: symbols and the mel of the voice that says them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.mel import MelSpec, frames_for, log_mel
from optophone.core.text import clean_text, end_sentence
from optophone.core.unit_origin import UnitRuns
from optophone.core.vocabulary import Vocabulary, tacotron2_characters
from optophone.data.chunk_curriculum import ChunkCurriculum
from optophone.data.manifest import Dataset, Row
from optophone.data.steps import MIXED_STEPS, StepItems


@dataclass(frozen=True)
class FurtherSpeech:
    """A data set that is learned beside the main one.

    Args:
        folder: a prepared speech data set.
        share: of the steps, 0.001 to under 1; a step's utterances all come from one data set.
        units: its column of units, where these are read instead of text.
    """

    folder: str
    share: float
    units: str | None = None


@dataclass(frozen=True)
class SpeechConfig:
    """Which utterances, and how they are batched.

    Args:
        folder: a prepared speech data set; its development split is the one that is validated on.
        also: further data sets to learn from; the main one has the share that they leave.
        speakers: learn to tell the voices apart: a row's "speaker", or the name of its data set where it has none.
        symbols: what is read: the text in characters, or the units of the speech itself.
        units: the column of units of the main data set; for units alone.
        run_length: whether a lasting unit is read once ("collapsed") or for every frame ("off").
        chunk_curriculum: train on pieces of utterances first; for units alone, with lengths in their columns.
        frames_per_batch: padded mel frames of a step.
        max_batch: most utterances of a step.
        max_seconds: longer utterances are left out; they cost memory and teach little.
        dev_limit: utterances of the validation during training; 0 for all.
    """

    folder: str
    also: tuple[FurtherSpeech, ...] = ()
    speakers: bool = False
    symbols: Literal["characters", "units"] = "characters"
    units: str | None = None
    run_length: UnitRuns = "collapsed"
    chunk_curriculum: ChunkCurriculum | None = None
    frames_per_batch: int = 8000
    max_batch: int = 64
    max_seconds: float = 9.0
    dev_limit: int = 64
    mel: MelSpec = field(default_factory=MelSpec)

    def __post_init__(self) -> None:
        """Refuse shares that leave a data set without steps, and units without columns of them."""
        self._check_units()
        least = 1 / MIXED_STEPS
        for further in self.also:
            if not least <= further.share < 1:
                raise ConfigurationError(
                    f"data.also: the share of {further.folder} is {further.share}; give {least} or more, under 1."
                )
        if not self.shares[0] >= least:
            raise ConfigurationError(
                f"data.also: shares of {1 - self.shares[0]:g} in all leave nothing for {self.folder}; give less than 1."
            )

    def _check_units(self) -> None:
        over_units = self.symbols == "units"
        for folder, units in zip(self.folders, self.unit_folders, strict=True):
            if over_units != (units is not None):
                raise ConfigurationError(
                    f"data.symbols: units need a column of them for every data set, text none; see units of {folder}."
                )
        if self.chunk_curriculum is not None and not over_units:
            raise ConfigurationError("data.chunk_curriculum: only units can be cut into pieces; leave it out.")

    @property
    def unit_folders(self) -> tuple[str | None, ...]:
        """The columns of units of `folders`."""
        return (self.units, *(further.units for further in self.also))

    @property
    def folders(self) -> tuple[str, ...]:
        """All data sets, the main one first."""
        return (self.folder, *(further.folder for further in self.also))

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the steps, for each of `folders`; they add up to 1."""
        others = tuple(further.share for further in self.also)
        return (1 - sum(others), *others)


class SpeechBatch(NamedTuple):
    """One step's utterances, right-padded.

    Fields: ids (B, S), id_lengths (B,), mel (B, M, T), mel_lengths (B,); speakers (B,) the voices' numbers, or None
    where voices are not told apart.
    """

    ids: Tensor
    id_lengths: Tensor
    mel: Tensor
    mel_lengths: Tensor
    speakers: Tensor | None = None


def build_speech_vocabulary() -> Vocabulary:
    """The characters of the public Tacotron 2 checkpoints, so that ours and theirs are read alike."""
    return tacotron2_characters()


def spoken_rows(dataset: Dataset, split: str, config: SpeechConfig) -> list[Row]:
    """The rows of `split` that are short enough and, unless units are read, have text."""
    reads_text = config.symbols == "characters"
    spoken = [row for row in dataset.rows(split) if "duration_s" in row]
    rows = [row for row in spoken if row["duration_s"] <= config.max_seconds]
    rows = [row for row in rows if row.get("text", "").strip()] if reads_text else rows
    if not rows:
        what = "has text and is" if reads_text else "is"
        raise DataError(f"{dataset.folder}: no utterance of {split} {what} under {config.max_seconds} s.")
    return rows


def frame_counts(rows: Sequence[Row], spec: MelSpec) -> list[int]:
    """Frames of each utterance, from its duration."""
    return [frames_for(round(row["duration_s"] * spec.sample_rate), spec) for row in rows]


def speaker_of(dataset: Dataset, row: Row) -> str:
    """Whose voice speaks `row`."""
    return row.get("speaker") or dataset.name


def speaker_names(corpora: Sequence[tuple[Dataset, list[Row]]]) -> tuple[str, ...]:
    """Every voice of some data sets' rows once, in alphabetical order."""
    return tuple(sorted({speaker_of(dataset, row) for dataset, rows in corpora for row in rows}))


class Utterances(TorchDataset):
    """Batches of symbols and mels, by step. Mels are kept after their first use, at half precision.

    Args:
        dataset: where the sound lies.
        rows: of the data set; what indices count.
        vocabulary: of the symbols.
        spec: of the mels.
        speakers: the voices by number; none where they are not told apart.

    Raises:
        DataError: a row is spoken by none of `speakers`.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: list[Row],
        vocabulary: Vocabulary,
        spec: MelSpec,
        speakers: Sequence[str] = (),
    ) -> None:
        self.dataset, self.rows, self.vocabulary, self.spec = dataset, rows, vocabulary, spec
        self.speakers = _speaker_numbers(dataset, rows, speakers) if speakers else None
        self.mels: dict[int, np.ndarray] = {}

    def __getitem__(self, items: StepItems) -> SpeechBatch:
        """The batch of one step."""
        return self.batch(items.indices)

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        """Rows `indices`, collated."""
        ids = [self._symbols(index) for index in indices]
        mels = [self.mel(index) for index in indices]
        speakers = None if self.speakers is None else [self.speakers[index] for index in indices]
        return collate(
            [torch.tensor(symbols) for symbols in ids], [torch.from_numpy(mel).float() for mel in mels], speakers
        )

    def _symbols(self, index: int) -> list[int]:
        return self.vocabulary.encode(end_sentence(clean_text(self.rows[index]["text"])))

    def wave(self, index: int) -> np.ndarray:
        """The sound (N,) of row `index`, at the mels' sample rate."""
        wave, sample_rate = self.dataset.wave(self.rows[index])
        return wave if sample_rate == self.spec.sample_rate else resample(wave, sample_rate, self.spec.sample_rate)

    def mel(self, index: int) -> np.ndarray:
        """(M, T) float16 of a row."""
        if index not in self.mels:
            self.mels[index] = log_mel(self.wave(index), self.spec).astype(np.float16)
        return self.mels[index]

    def __len__(self) -> int:
        return len(self.rows)


def _speaker_numbers(dataset: Dataset, rows: list[Row], speakers: Sequence[str]) -> list[int]:
    numbers = {name: number for number, name in enumerate(speakers)}
    for row in rows:
        if speaker_of(dataset, row) not in numbers:
            raise DataError(
                f"{dataset.folder}: {row['id']} is spoken by {speaker_of(dataset, row)!r}, a voice without training."
            )
    return [numbers[speaker_of(dataset, row)] for row in rows]


class SpokenRows(Protocol):
    """Utterances of one data set, by step; see `Utterances`."""

    @property
    def rows(self) -> list[Row]:
        """What indices count."""
        ...

    def __getitem__(self, items: StepItems) -> SpeechBatch:
        """The batch of one step."""
        ...

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        """Rows `indices`, collated."""
        ...

    def wave(self, index: int) -> np.ndarray:
        """The sound (N,) of row `index`, at the mels' sample rate."""
        ...

    def __len__(self) -> int:
        """Rows."""
        ...


class JoinedUtterances(TorchDataset):
    """Several data sets as one, by step; the rows of the second follow those of the first. A step is of one of them."""

    def __init__(self, parts: Sequence[SpokenRows]) -> None:
        self.parts = list(parts)
        self.first = np.cumsum([0, *map(len, self.parts)]).tolist()

    def __getitem__(self, items: StepItems) -> SpeechBatch:
        """The batch of one step."""
        part = bisect_right(self.first, items.indices[0]) - 1
        indices = [index - self.first[part] for index in items.indices]
        return self.parts[part][StepItems(items.seed, items.step, indices)]

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        """Rows `indices`, which are of one of the data sets, collated."""
        part = bisect_right(self.first, indices[0]) - 1
        return self.parts[part].batch([index - self.first[part] for index in indices])

    def wave(self, index: int) -> np.ndarray:
        """The sound (N,) of row `index`, at the mels' sample rate."""
        part = bisect_right(self.first, index) - 1
        return self.parts[part].wave(index - self.first[part])

    def __len__(self) -> int:
        return self.first[-1]


def collate(ids: list[Tensor], mels: list[Tensor], speakers: list[int] | None = None) -> SpeechBatch:
    """Right-pad symbols (S,) with 0 and mels (M, T) with 0."""
    return SpeechBatch(
        torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        torch.tensor([len(symbols) for symbols in ids]),
        torch.nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2).contiguous(),
        torch.tensor([mel.shape[1] for mel in mels]),
        None if speakers is None else torch.tensor(speakers),
    )

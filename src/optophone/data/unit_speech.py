"""Utterances whose text is the units of their own sound, whole or in pieces."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from optophone.core.errors import DataError
from optophone.core.units import Runs, collapse
from optophone.data.chunk_curriculum import ChunkCurriculum
from optophone.data.manifest import Row
from optophone.data.speech import SpeechBatch, Utterances, collate
from optophone.data.steps import StepItems
from optophone.data.unit_symbols import UnitSymbols


class UnitPiece(NamedTuple):
    """A stretch of an utterance.

    Fields: ids (R,) int64 of its units; durations (R,) int64 frames of the mel that each lasts, T together; mel (M, T).
    """

    ids: np.ndarray
    durations: np.ndarray
    mel: np.ndarray


class UnitUtterances(TorchDataset):
    """Batches of units and mels, by step.

    A piece is cut out of the frames before their runs are collapsed, so every piece of an utterance may come; its mel
    is cut at the same moments.

    Args:
        speech: the utterances; those without units must be left out (`rows_with_units`).
        units: of this speech, with lengths where a curriculum or `piece` asks for them.
        split: of the units.
        curriculum: None trains on whole utterances.

    Raises:
        DataError: the units are of other speech, or lack lengths.
    """

    def __init__(
        self, speech: Utterances, units: UnitSymbols, split: str, curriculum: ChunkCurriculum | None = None
    ) -> None:
        units.column.check_speech(speech.dataset)
        self.speech, self.units, self.curriculum = speech, units, curriculum
        self.frames: dict[str, np.ndarray] | None = None
        self.texts: dict[str, str] = {}
        if curriculum is not None or units.column.run_length != "collapsed":
            self.frames = units.column.frames(split)
        else:
            self.texts = units.texts(split)

    @property
    def rows(self) -> list[Row]:
        """What indices count."""
        return self.speech.rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, items: StepItems) -> SpeechBatch:
        """The batch of one step; where its pieces are cut comes from the step."""
        if self.curriculum is None:
            return self.batch(items.indices)
        return self.collate(items.indices, self.pieces(items))

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        """Rows `indices` from beginning to end, collated."""
        if self.frames is not None:
            return self.collate(indices, [self.piece(index) for index in indices])
        encode = self.units.vocabulary.encode
        ids = [np.array(encode(self.texts[self.rows[index]["id"]]), np.int64) for index in indices]
        unknown = np.empty(0, np.int64)
        mels = (self.speech.mel(index) for index in indices)
        return self.collate(indices, [UnitPiece(one, unknown, mel) for one, mel in zip(ids, mels, strict=True)])

    def wave(self, index: int) -> np.ndarray:
        """The sound (N,) of row `index`, at the mels' sample rate."""
        return self.speech.wave(index)

    def pieces(self, items: StepItems) -> list[UnitPiece]:
        """The utterances of one step, or pieces of them as the curriculum wants."""
        if self.curriculum is None:
            return [self.piece(index) for index in items.indices]
        longest, rng, pieces = self.curriculum.longest(items.step), items.generator(), []
        for index in items.indices:
            n_frames = len(self._frames(index))
            first = int(rng.integers(max(n_frames - longest, 0) + 1))
            pieces.append(self.piece(index, first, first + longest))
        return pieces

    def n_symbols(self, index: int) -> int:
        """Symbols that row `index` is written in, from beginning to end."""
        frames = self._frames(index)
        return len(collapse(frames).units) if self.units.run_length == "collapsed" else len(frames)

    def piece(self, index: int, first: int = 0, last: int | None = None) -> UnitPiece:
        """Frames `first` to before `last` of the units of row `index`, with their mel."""
        frames, mel = self._frames(index), self.speech.mel(index)
        last = len(frames) if last is None else min(last, len(frames))
        units = frames[first:last]
        collapsed = self.units.run_length == "collapsed"
        runs = collapse(units) if collapsed else Runs(units, np.ones(len(units), np.int64))
        ends = self._mel_frames(first + np.concatenate(([0], runs.lengths.cumsum())), len(frames), mel.shape[1])
        return UnitPiece(runs.units, np.diff(ends), mel[:, ends[0] : ends[-1]])

    def _mel_frames(self, places: np.ndarray, n_units: int, n_frames: int) -> np.ndarray:
        """The first mel frames at or after these places among the frames of units; what lies behind the last unit, less
        than one frame of it, belongs to that unit."""
        spec = self.speech.spec
        rate = self.units.column.unit_s * spec.sample_rate / spec.hop_length
        frames = np.minimum(np.round(places * rate).astype(np.int64), n_frames)
        return np.where(places == n_units, n_frames, frames)

    def check_lengths(self) -> None:
        """Refuse a column without the lengths of its units.

        Raises:
            DataError: it has none.
        """
        if self.frames is None:
            raise DataError(
                f"{self.units.column.dataset.folder}: was written without lengths; use optophone units --run-length "
                "lossless."
            )

    def _frames(self, index: int) -> np.ndarray:
        self.check_lengths()
        assert self.frames is not None
        return self.frames[self.rows[index]["id"]]

    def collate(self, indices: Sequence[int], pieces: Sequence[UnitPiece]) -> SpeechBatch:
        """A batch of `pieces` of rows `indices`."""
        speakers = self.speech.speakers
        return collate(
            [torch.from_numpy(piece.ids) for piece in pieces],
            [torch.from_numpy(piece.mel).float() for piece in pieces],
            None if speakers is None else [speakers[index] for index in indices],
        )


def rows_with_units(rows: Sequence[Row], units: UnitSymbols, split: str) -> list[Row]:
    """Those of `rows` whose units are in the column; damaged sounds may have been left out of it.

    Raises:
        DataError: none of them.
    """
    known = {row["id"] for row in units.column.dataset.rows(split)}
    found = [row for row in rows if row["id"] in known]
    if not found:
        raise DataError(f"{units.column.dataset.folder}: has the units of no utterance of {split}; make them again.")
    return found

"""Utterances with how long each symbol lasts, and perhaps every frame's pitch, for models that speak in parallel."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.core.mel import MelSpec
from optophone.data.speech import JoinedUtterances, SpeechBatch
from optophone.data.steps import StepItems
from optophone.data.unit_speech import UnitPiece, UnitUtterances
from optophone.evaluation.pitch import PitchConfig, pitch
from optophone.models.acoustic.excitation import HIGHEST_HZ, LOWEST_HZ, scale_pitch
from optophone.models.acoustic.parallel import Frames, Prosody, frames_of
from optophone.training.aligners import Aligner


class AlignedBatch(NamedTuple):
    """One step's utterances.

    Fields: speech; ids_mask (B, S) true at valid symbols; durations (B, S) frames; frames, whose mask has the mels'
    lengths; prosody, 0 at padding, or None.
    """

    speech: SpeechBatch
    ids_mask: Tensor
    durations: Tensor
    frames: Frames
    prosody: Prosody | None


def align(speech: SpeechBatch, durations: Sequence[np.ndarray], prosody: Prosody | None = None) -> AlignedBatch:
    """Utterances whose symbols last `durations` (S,) whole frames each."""
    ids_mask = torch.arange(speech.ids.shape[1])[None] < speech.id_lengths[:, None]
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in durations], batch_first=True)
    return AlignedBatch(speech, ids_mask, padded, frames_of(durations), prosody)


class AlignedUtterances(TorchDataset):
    """Batches with durations and pitch, by step. Both are kept after their first use.

    Args:
        utterances: what is spoken.
        aligner: who says how long symbols last.
        spec: of the mels.
    """

    def __init__(self, utterances: JoinedUtterances, aligner: Aligner, spec: MelSpec) -> None:
        self.utterances, self.aligner, self.spec = utterances, aligner, spec
        self.durations: dict[int, np.ndarray] = {}
        self.pitches: dict[int, np.ndarray] = {}

    def __getitem__(self, items: StepItems) -> AlignedBatch:
        """The batch of one step."""
        return self.batch(items.indices)

    def batch(self, indices: Sequence[int]) -> AlignedBatch:
        """Rows `indices`, collated."""
        speech = self.utterances.batch(indices)
        if not all(index in self.durations for index in indices):
            self.durations |= zip(indices, self.aligner.durations(speech), strict=True)
        durations = [self.durations[index] for index in indices]
        hz = torch.zeros(speech.mel.shape[0], speech.mel.shape[2])
        for row, index in enumerate(indices):
            hz[row, : speech.mel_lengths[row]] = torch.from_numpy(self._pitch(index))
        voiced = (hz > 0).float()
        return align(speech, durations, Prosody(scale_pitch(hz) * voiced, voiced))

    def _pitch(self, index: int) -> np.ndarray:
        """Hz (T,) float32 of row `index`; 0 where it is unvoiced."""
        if index not in self.pitches:
            spec = self.spec
            config = PitchConfig(LOWEST_HZ, HIGHEST_HZ, frame_s=spec.hop_length / spec.sample_rate)
            self.pitches[index] = pitch(self.utterances.wave(index), spec.sample_rate, config).astype(np.float32)
        return self.pitches[index]

    def __len__(self) -> int:
        return len(self.utterances)


class TimedUnits(TorchDataset):
    """Batches of `utterances`, whose column has lengths, with the durations of their units; without prosody.

    Raises:
        DataError: the column has no lengths.
    """

    def __init__(self, utterances: UnitUtterances) -> None:
        self.utterances = utterances
        utterances.check_lengths()

    def __getitem__(self, items: StepItems) -> AlignedBatch:
        """The batch of one step."""
        return self._align(items.indices, self.utterances.pieces(items))

    def batch(self, indices: Sequence[int]) -> AlignedBatch:
        """Rows `indices` from beginning to end, collated."""
        return self._align(indices, [self.utterances.piece(index) for index in indices])

    def _align(self, indices: Sequence[int], pieces: Sequence[UnitPiece]) -> AlignedBatch:
        return align(self.utterances.collate(indices, pieces), [piece.durations for piece in pieces])

    def __len__(self) -> int:
        return len(self.utterances)

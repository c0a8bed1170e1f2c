"""Units with how long each lasts, and the mel, as batches for training."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from optophone.data.speech import collate
from optophone.data.steps import StepItems
from optophone.data.unit_speech import UnitPiece, UnitUtterances


class TimedUnitBatch(NamedTuple):
    """One step's utterances, or pieces of them, right-padded.

    Fields: ids (B, S); id_lengths (B,); durations (B, S) frames of the mel, 0 beyond each length; mel (B, M, T);
    mel_lengths (B,), the sums of the durations.
    """

    ids: Tensor
    id_lengths: Tensor
    durations: Tensor
    mel: Tensor
    mel_lengths: Tensor

    @property
    def ids_mask(self) -> Tensor:
        """(B, S) true at valid units."""
        return torch.arange(self.ids.shape[1], device=self.ids.device)[None] < self.id_lengths[:, None]


class TimedUnits(TorchDataset):
    """Batches of `utterances`, whose column has lengths, with the durations of their units.

    Raises:
        DataError: the column has none.
    """

    def __init__(self, utterances: UnitUtterances) -> None:
        self.utterances = utterances
        utterances.check_lengths()

    def __getitem__(self, items: StepItems) -> TimedUnitBatch:
        """The batch of one step."""
        return collate_timed(self.utterances.pieces(items))

    def batch(self, indices: Sequence[int]) -> TimedUnitBatch:
        """Rows `indices` from beginning to end, collated."""
        return collate_timed([self.utterances.piece(index) for index in indices])

    def __len__(self) -> int:
        return len(self.utterances)


def collate_timed(pieces: Sequence[UnitPiece]) -> TimedUnitBatch:
    """Right-pad units with 0, durations with 0 and mels with 0."""
    speech = collate(
        [torch.from_numpy(piece.ids) for piece in pieces], [torch.from_numpy(piece.mel).float() for piece in pieces]
    )
    durations = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(piece.durations) for piece in pieces], batch_first=True
    )
    return TimedUnitBatch(speech.ids, speech.id_lengths, durations, speech.mel, speech.mel_lengths)

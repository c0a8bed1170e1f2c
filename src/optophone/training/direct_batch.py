"""Batches of pictures and speech as direct models take them."""

from typing import NamedTuple

from torch import Tensor

from optophone.data.spoken_mels import SpokenMelBatch
from optophone.models.direct.interface import TrueSpeech
from optophone.training.aligned_speech import AlignedBatch, align


class DirectBatch(NamedTuple):
    """One step's pictures and what is said about them.

    Fields: pictures (B, 3, H, W), or regions (B, R, D); speech of N = B·C utterances; aligned, the same with how long
    each unit lasts, None where there are no units.
    """

    pictures: Tensor
    speech: TrueSpeech
    aligned: AlignedBatch | None

    @property
    def captions_per_picture(self) -> int:
        """C."""
        return len(self.speech.mel) // len(self.pictures)


def direct_batch(batch: SpokenMelBatch) -> DirectBatch:
    """`batch` with its units laid out in time, where it has units."""
    mel, lengths = batch.speech.mel, batch.speech.mel_lengths
    if batch.durations is None:
        return DirectBatch(batch.pictures, TrueSpeech(mel, lengths), None)
    aligned = align(batch.speech, batch.durations)
    speech = TrueSpeech(mel, lengths, batch.speech.ids, aligned.ids_mask, aligned.frames)
    return DirectBatch(batch.pictures, speech, aligned)

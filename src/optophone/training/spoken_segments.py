"""What trainings of vocoders share: segments to validate on, how far a copy is off, what is shown and heard."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from optophone.core.mel import MelSpec, log_mel
from optophone.data.voice_segments import SegmentBatch, VoiceSegments
from optophone.training.synthesis import picture_of


def dev_segments(segments: VoiceSegments, limit: int) -> list[SegmentBatch]:
    """The middles of the first `limit` development utterances (0: all), 4 at a time."""
    n = min(limit or len(segments), len(segments))
    return [segments.middles(range(first, min(first + 4, n))) for first in range(0, n, 4)]


def limited(waves: Tensor) -> np.ndarray:
    """Waves (B, N) within -1..1. An untrained network may be far too loud, or overflow; that is far away, no error."""
    return np.clip(np.nan_to_num(waves.float().cpu().numpy()), -1.0, 1.0)


def mel_distance(wave: np.ndarray, mel: np.ndarray, spec: MelSpec) -> float:
    """Mean absolute difference in ln units between the mel of `wave` (N,) and `mel` (M, T).

    Over the frames that both have whole; a segment's rim sees other neighbours.
    """
    rim = spec.n_fft // spec.hop_length
    heard = log_mel(wave, spec)
    n_frames = min(heard.shape[1], mel.shape[1])
    return float(np.abs(heard[:, rim : n_frames - rim] - mel[:, rim : n_frames - rim]).mean())


def show_copy(writer: Any, step: int, spec: MelSpec, batch: SegmentBatch, wave: np.ndarray) -> None:
    """Voice and spectrogram of `wave` (N,), a copy of the first segment, beside the truth."""
    writer.add_image("dev/mel", picture_of(torch.from_numpy(log_mel(wave, spec))), step)
    writer.add_image("dev/mel_true", picture_of(batch.mel[0]), step)
    writer.add_audio("dev/voice", wave[None], step, sample_rate=spec.sample_rate)
    writer.add_audio("dev/voice_true", batch.audio[:1].cpu().numpy(), step, sample_rate=spec.sample_rate)

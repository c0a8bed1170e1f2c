"""What trainings of vocoders share: the run over segments, how far a copy is off, what is shown and heard."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from optophone.core.mel import MelSpec, log_mel
from optophone.data.manifest import read_dataset
from optophone.data.steps import shuffled_plan
from optophone.data.voice_segments import SegmentBatch, SegmentsConfig, VoiceSegments, sounding_rows
from optophone.training.experiment import Means, Training, fit, training_loader
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


class Copies:
    """What validation makes of the copies of segments: measures, and the first to look at and listen to.

    Its `measures` and `show` are those of a vocoder's objective.

    Args:
        spec: of the mels.
    """

    def __init__(self, spec: MelSpec) -> None:
        self.spec, self.means = spec, Means()
        self.measures = self.means.taken
        self.sample: tuple[SegmentBatch, np.ndarray] | None = None

    def add(self, batch: SegmentBatch, spoken: Tensor, losses: dict[str, Tensor]) -> None:
        """Waves (B, N) that were spoken from the mels of `batch`: its losses, and the distance of mels in ln units."""
        waves, mels = limited(spoken), batch.mel.cpu().numpy()
        distances = [mel_distance(wave, mel, self.spec) for wave, mel in zip(waves, mels, strict=True)]
        found = {name: float(value) for name, value in losses.items()}
        self.means.add({**found, "mel_distance": float(np.mean(distances))})
        self.sample = self.sample or (batch, waves[0])

    def show(self, model: Any, writer: Any, step: int) -> None:
        """Voice and spectrogram of the first validation segment, beside the truth."""
        assert self.sample is not None
        batch, wave = self.sample
        self.sample = None
        writer.add_image("dev/mel", picture_of(torch.from_numpy(log_mel(wave, self.spec))), step)
        writer.add_image("dev/mel_true", picture_of(batch.mel[0]), step)
        writer.add_audio("dev/voice", wave[None], step, sample_rate=self.spec.sample_rate)
        writer.add_audio("dev/voice_true", batch.audio[:1].cpu().numpy(), step, sample_rate=self.spec.sample_rate)


def fit_to_segments(training: Training, config: SegmentsConfig, folder: Path) -> nn.Module:
    """Train a vocoder on the segments of a data set; the model at the end."""
    dataset, trainer = read_dataset(config.folder), training.trainer_config
    train, dev = (VoiceSegments(dataset, sounding_rows(dataset, split), config) for split in ("train", "dev"))
    plan = shuffled_plan(len(train), config.batch_size, trainer.seed)
    loader: DataLoader = DataLoader(dev_segments(dev, config.dev_limit), batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(train, plan, trainer), loader, folder, trainer)
    return training.best_model

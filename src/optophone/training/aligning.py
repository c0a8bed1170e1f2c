"""Training of aligners: symbols and mels → which frames belong to which symbol."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.durations import monotonic_durations
from optophone.core.vocabulary import Vocabulary
from optophone.data.speech import SpeechBatch, SpeechConfig
from optophone.models.acoustic.alignment_network import AlignmentNetwork, AlignmentNetworkConfig
from optophone.models.acoustic.parallel import frames_of
from optophone.training.experiment import Means, TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.synthesis import dev_batches, picture_of, read_speech, training_plan
from optophone.training.weights import save_weights

WEIGHTS = "aligner.safetensors"


@dataclass(frozen=True)
class AligningExperiment:
    """A whole configuration of kind "aligner".

    Args:
        model: its `n_symbols`, `n_mels` and `n_speakers` are filled in.
    """

    kind: Literal["aligner"]
    name: str
    data: SpeechConfig
    model: AlignmentNetworkConfig = field(default_factory=AlignmentNetworkConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


class AligningObjective:
    """How far frames are from the spectra of the symbols that the likeliest way gives them to.

    The way is found anew in every step, by the network as it is: a hard form of expectation and maximization.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.means = Means()
        self.measures = self.means.taken
        self.sample: tuple[SpeechBatch, np.ndarray] | None = None

    def training_loss(self, model: Any, batch: SpeechBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared difference of mels."""
        spectra = model(batch.ids, batch.id_lengths, batch.speakers)
        loss = distance(spectra, batch, align(model, spectra, batch))
        return loss, {"loss": loss}

    def validate(self, model: Any, batch: SpeechBatch) -> None:
        """The same."""
        spectra = model(batch.ids, batch.id_lengths, batch.speakers)
        durations = align(model, spectra, batch)
        self.means.add({"mel_distance": float(distance(spectra, batch, durations))})
        self.sample = (batch, np.repeat(np.arange(len(durations[0])), durations[0]))

    def show(self, model: Any, writer: Any, step: int) -> None:
        """The way through the first utterance of the last validation batch."""
        assert self.sample is not None
        batch, symbols = self.sample
        n_symbols = int(batch.id_lengths[0])
        way = torch.from_numpy(symbols[None] == np.arange(n_symbols)[:, None]).float()
        writer.add_image("dev/alignment", picture_of(way), step)
        writer.add_text("dev/text", self.vocabulary.decode(batch.ids[0, :n_symbols].tolist()), step)


@torch.no_grad()
def log_likelihoods(model: AlignmentNetwork, spectra: Tensor, batch: SpeechBatch) -> list[np.ndarray]:
    """How well the frames of each utterance fit its symbols (T, S) float64, given their `spectra` (B, S, M)."""
    lengths = zip(batch.id_lengths.tolist(), batch.mel_lengths.tolist(), strict=True)
    return [
        model.log_likelihoods(spectra[i, :n_symbols], batch.mel[i, :, :n_frames]).double().cpu().numpy()
        for i, (n_symbols, n_frames) in enumerate(lengths)
    ]


def align(model: AlignmentNetwork, spectra: Tensor, batch: SpeechBatch) -> list[np.ndarray]:
    """Whole frames (S,) of the symbols of each utterance, on the likeliest way through their `spectra` (B, S, M)."""
    return [monotonic_durations(one) for one in log_likelihoods(model, spectra, batch)]


def distance(spectra: Tensor, batch: SpeechBatch, durations: list[np.ndarray]) -> Tensor:
    """Mean squared difference of the mels and the spectra of their frames' symbols (ln units squared)."""
    frames = frames_of(durations, spectra.device)
    symbols = frames.symbols[:, :, None].expand(-1, -1, spectra.shape[2])
    squares = (spectra.gather(1, symbols) - batch.mel.transpose(1, 2)).square() * frames.mask[:, :, None]
    return squares.sum() / (frames.mask.sum() * spectra.shape[2])


def build_model(experiment: AligningExperiment, vocabulary: Vocabulary, n_speakers: int = 0) -> AlignmentNetwork:
    """The fresh network; 0 speakers is one voice."""
    torch.manual_seed(experiment.trainer.seed)
    n_mels = experiment.data.mel.n_mels
    return AlignmentNetwork(replace(experiment.model, n_symbols=len(vocabulary), n_mels=n_mels, n_speakers=n_speakers))


def run_aligning(experiment: AligningExperiment, folder: Path) -> None:
    """Train the aligner.

    Writes `vocabulary.json`, `aligner.safetensors` and, where voices are told apart, `speakers.json` into `folder`.
    """
    config = experiment.data
    speech = read_speech(config)
    speech.describe(folder)
    model = build_model(experiment, speech.vocabulary, len(speech.speakers))
    plan = training_plan(speech.train, config, experiment.trainer.seed)
    training = Training(model, AligningObjective(speech.vocabulary), experiment.optimizer, experiment.trainer)
    dev: DataLoader = DataLoader(dev_batches(speech.dev, config.dev_limit), batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(speech.train, plan, experiment.trainer), dev, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

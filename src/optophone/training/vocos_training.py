"""Training of a Vocos: mel → wave, by spectrograms and, from some step on, against networks that judge."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from optophone.data.voice_segments import SegmentBatch, SegmentsConfig
from optophone.models.vocoders.discriminators import Discriminators, DiscriminatorsConfig
from optophone.models.vocoders.vocos import Vocos, VocosConfig
from optophone.training.adversarial_loss import AdversarialLossConfig, adversarial_loss
from optophone.training.experiment import TrainerConfig, Training
from optophone.training.optimization import OptimizerConfig
from optophone.training.spectral_loss import SpectralLoss, SpectralLossConfig
from optophone.training.spoken_segments import Copies, fit_to_segments
from optophone.training.vocoding import WEIGHTS
from optophone.training.weights import load_weights, save_weights


@dataclass(frozen=True)
class VocosExperiment:
    """A whole configuration of kind "vocos".

    Args:
        model: its `n_mels`, `hop_length` and `n_fft` are filled in from the mel.
        weights: safetensors of a vocoder to start from.
        spectral: the loss over spectrograms.
        adversarial: the game against the discriminators.
    """

    kind: Literal["vocos"]
    name: str
    data: SegmentsConfig
    model: VocosConfig = field(default_factory=VocosConfig)
    discriminators: DiscriminatorsConfig = field(default_factory=DiscriminatorsConfig)
    weights: str | None = None
    spectral: SpectralLossConfig = field(default_factory=SpectralLossConfig)
    adversarial: AdversarialLossConfig = field(default_factory=AdversarialLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def sizes(self) -> VocosConfig:
        """`model` with what follows from the mel."""
        mel = self.data.mel
        return replace(self.model, n_mels=mel.n_mels, hop_length=mel.hop_length, n_fft=mel.n_fft)


class JudgedVocoder(nn.Module):
    """A vocoder and the networks it plays against, trained side by side; only the vocoder is kept."""

    def __init__(self, vocoder: Vocos, discriminators: Discriminators) -> None:
        super().__init__()
        self.vocoder = vocoder
        self.discriminators = discriminators


class VocosObjective:
    """Spectrograms, the game, and how near the mel of what is spoken comes to the mel it was spoken from."""

    def __init__(self, experiment: VocosExperiment) -> None:
        self.spectral = SpectralLoss(experiment.spectral, experiment.data.mel)
        self.adversarial = experiment.adversarial
        self.copies = Copies(experiment.data.mel)
        self.measures, self.show = self.copies.measures, self.copies.show

    def training_loss(self, model: Any, batch: SegmentBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """What the vocoder and its judges have to lower, and its terms."""
        spoken = model.vocoder(batch.mel)[:, : batch.audio.shape[1]]
        spectral = self.spectral.to(spoken.device)(spoken, batch.audio)
        total, terms = spectral.total, spectral._asdict()
        first = self.adversarial.from_step
        if first is not None and step >= first:
            game = adversarial_loss(model.discriminators, spoken, batch.audio, self.adversarial)
            total = total + game.total
            terms |= {name: value for name, value in game._asdict().items() if name != "total"}
        return total, {**terms, "loss": total}

    def validate(self, model: Any, batch: SegmentBatch) -> None:
        """The loss over spectrograms, and the distance of mels in ln units."""
        spoken = model.vocoder(batch.mel)[:, : batch.audio.shape[1]]
        loss = self.spectral.to(spoken.device)(spoken, batch.audio)
        self.copies.add(batch, spoken, {"convergence": loss.convergence, "log_magnitude": loss.log_magnitude})


def build_model(experiment: VocosExperiment) -> JudgedVocoder:
    """The vocoder, with the weights it starts from, and its judges."""
    torch.manual_seed(experiment.trainer.seed)
    vocoder = Vocos(experiment.sizes())
    if experiment.weights:
        load_weights(vocoder, experiment.weights)
    return JudgedVocoder(vocoder, Discriminators(experiment.discriminators))


def run_vocos_training(experiment: VocosExperiment, folder: Path) -> None:
    """Train the vocoder; writes `vocoder.safetensors` into `folder`."""
    training = Training(build_model(experiment), VocosObjective(experiment), experiment.optimizer, experiment.trainer)
    best = fit_to_segments(training, experiment.data, folder)
    assert isinstance(best, JudgedVocoder)
    save_weights(best.vocoder, folder / WEIGHTS)

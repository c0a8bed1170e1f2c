"""Training of vocoders: mel → wave, by the likelihood of the wave."""

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from optophone.data.voice_segments import SegmentBatch, SegmentsConfig
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig
from optophone.models.vocoders.weight_norm import add_weight_norm, remove_weight_norm
from optophone.training.experiment import TrainerConfig, Training
from optophone.training.optimization import OptimizerConfig
from optophone.training.spoken_segments import Copies, fit_to_segments
from optophone.training.waveglow_loss import WaveGlowLoss
from optophone.training.weights import load_weights, save_weights

WEIGHTS = "vocoder.safetensors"


@dataclass(frozen=True)
class VocoderExperiment:
    """A whole configuration of kind "vocoder".

    Args:
        model: its `n_mels` and `hop_length` are filled in from the mel.
        weights: safetensors of a vocoder to start from.
        sigma: standard deviation that the noise is assumed to have.
        speaking_sigma: of the noise that the validation speaks from.
        weight_norm: train magnitudes and directions of the weights apart; what is saved has plain weights.
    """

    kind: Literal["vocoder"]
    name: str
    data: SegmentsConfig
    model: WaveGlowConfig = field(default_factory=WaveGlowConfig)
    weights: str | None = None
    sigma: float = 1.0
    speaking_sigma: float = 0.6
    weight_norm: bool = True
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


class VocoderObjective:
    """Likelihood of waves; how near the mel of what is spoken comes to the mel it was spoken from."""

    def __init__(self, experiment: VocoderExperiment) -> None:
        self.loss = WaveGlowLoss(experiment.sigma)
        self.speaking_sigma = experiment.speaking_sigma
        self.seed = experiment.trainer.seed
        self.copies = Copies(experiment.data.mel)
        self.measures, self.show = self.copies.measures, self.copies.show

    def training_loss(self, model: Any, batch: SegmentBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood per sample, and its terms."""
        losses = self.loss(model(batch.mel, batch.audio))
        terms = {name: value for name, value in losses._asdict().items() if name != "total"}
        return losses.total, {"loss": losses.total, **terms}

    def validate(self, model: Any, batch: SegmentBatch) -> None:
        """The loss, and the distance of mels in ln units."""
        losses = self.loss(model(batch.mel, batch.audio))
        generator = torch.Generator(batch.mel.device).manual_seed(self.seed)
        spoken = model.infer(batch.mel, self.speaking_sigma, generator=generator)
        self.copies.add(batch, spoken, {"loss": losses.total})


def build_model(experiment: VocoderExperiment) -> WaveGlow:
    """The vocoder with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    mel = experiment.data.mel
    model = WaveGlow(replace(experiment.model, n_mels=mel.n_mels, hop_length=mel.hop_length))
    if experiment.weights:
        load_weights(model, experiment.weights)
    if experiment.weight_norm:
        add_weight_norm(model)
    return model


def run_vocoding(experiment: VocoderExperiment, folder: Path) -> None:
    """Train the vocoder; writes `vocoder.safetensors` into `folder`."""
    training = Training(build_model(experiment), VocoderObjective(experiment), experiment.optimizer, experiment.trainer)
    model = copy.deepcopy(fit_to_segments(training, experiment.data, folder))
    assert isinstance(model, WaveGlow)
    remove_weight_norm(model)
    save_weights(model, folder / WEIGHTS)

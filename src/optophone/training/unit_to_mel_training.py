"""Training of the fast voice over units: units and how long they last → mel."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.errors import ConfigurationError
from optophone.core.griffin_lim import GriffinLim
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.data.speech import SpeechConfig
from optophone.data.timed_units import TimedUnitBatch, TimedUnits
from optophone.data.unit_speech import UnitUtterances
from optophone.models.acoustic.parallel import frames_of
from optophone.models.acoustic.unit_to_mel import UnitToMel, UnitToMelConfig, UnitToMelOutput
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.synthesis import WEIGHTS, picture_of, read_speech, read_units, training_plan
from optophone.training.weights import load_weights, save_weights


@dataclass(frozen=True)
class UnitToMelLossConfig:
    """What is made small.

    Args:
        distance: between mels: absolute ("l1"), squared ("mse"), or the sum of both.
        durations: weight of the squared difference of ln(1 + frames).
    """

    distance: Literal["l1", "mse", "mse+l1"] = "mse+l1"
    durations: float = 0.1


@dataclass(frozen=True)
class UnitToMelExperiment:
    """A whole configuration of kind "unit-to-mel".

    Args:
        data: one data set of one voice; its column of units has lengths.
        model: its `n_symbols` and `n_mels` are filled in from the vocabulary and the mel.
        weights: safetensors of such a model to start from.
    """

    kind: Literal["unit-to-mel"]
    name: str
    data: SpeechConfig
    model: UnitToMelConfig = field(default_factory=UnitToMelConfig)
    weights: str | None = None
    loss: UnitToMelLossConfig = field(default_factory=UnitToMelLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        """Refuse text, and several voices or data sets."""
        if self.data.symbols != "units":
            raise ConfigurationError("data.symbols: a unit-to-mel model reads units; give units and their column.")
        if self.data.also or self.data.speakers:
            raise ConfigurationError("data: a unit-to-mel model learns one voice; leave out also and speakers.")

    def sizes(self, vocabulary: Vocabulary) -> UnitToMelConfig:
        """`model` with what follows from the vocabulary and the mel."""
        return replace(self.model, n_symbols=len(vocabulary), n_mels=self.data.mel.n_mels)


class UnitToMelObjective:
    """Losses of a unit-to-mel model; how long it would have spoken by itself."""

    def __init__(self, loss: UnitToMelLossConfig, spec: MelSpec, vocabulary: Vocabulary) -> None:
        self.loss, self.spec, self.vocabulary = loss, spec, vocabulary
        self.found: list[dict[str, float]] = []
        self.sample: TimedUnitBatch | None = None

    def training_loss(self, model: Any, batch: TimedUnitBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The distance of mels and the weighted one of durations; their terms before the weights."""
        terms = distances(speak(model, batch), batch)
        loss = self.loss.durations * terms["durations"]
        for name in self.loss.distance.split("+"):
            loss = loss + terms[f"mel_{name}"]
        return loss, {**terms, "loss": loss}

    def validate(self, model: Any, batch: TimedUnitBatch) -> None:
        """The distances with true durations, and how long the model itself would have spoken."""
        output = speak(model, batch)
        spoken = (output.log_durations.expm1().clamp(min=0) * batch.ids_mask).sum(1)
        measures = {name: float(value) for name, value in distances(output, batch).items()}
        within = (spoken / batch.mel_lengths - 1).abs() <= 0.25
        self.found.append({**measures, "duration_within_25_percent": float(within.float().mean())})
        self.sample = batch

    def measures(self) -> dict[str, float]:
        """Means over the validation batches."""
        found, self.found = self.found, []
        return {name: float(np.mean([one[name] for one in found])) for name in found[0]}

    def show(self, model: Any, writer: Any, step: int) -> None:
        """What the model makes of the units of the last validation batch's first utterance, beside the truth."""
        assert self.sample is not None
        batch = self.sample
        ids = batch.ids[0, : int(batch.id_lengths[0])]
        mel, _ = model.infer(ids)
        writer.add_image("dev/mel", picture_of(mel.float()), step)
        writer.add_image("dev/mel_true", picture_of(batch.mel[0, :, : int(batch.mel_lengths[0])]), step)
        writer.add_text("dev/units", self.vocabulary.decode(ids.tolist()), step)
        if mel.shape[1] > 4:
            wave = GriffinLim(self.spec).wave(mel.float().cpu().numpy())
            writer.add_audio("dev/voice", wave[None], step, sample_rate=self.spec.sample_rate)


def speak(model: Any, batch: TimedUnitBatch) -> UnitToMelOutput:
    """The mel of a batch with its true durations."""
    lengths = batch.id_lengths.tolist()
    durations = [row[:n].cpu().numpy() for row, n in zip(batch.durations, lengths, strict=True)]
    return model(batch.ids, batch.ids_mask, frames_of(durations, batch.ids.device))


def distances(output: UnitToMelOutput, batch: TimedUnitBatch) -> dict[str, Tensor]:
    """Mean differences of mels, absolute and squared, over valid frames, and of ln(1 + frames), over valid units."""
    difference = output.mel - batch.mel  # both are 0 beyond the lengths
    n_values = batch.mel_lengths.sum() * batch.mel.shape[1]
    lasting = (output.log_durations - batch.durations.float().log1p()).square() * batch.ids_mask
    return {
        "mel_l1": difference.abs().sum() / n_values,
        "mel_mse": difference.square().sum() / n_values,
        "durations": lasting.sum() / batch.ids_mask.sum(),
    }


def build_model(experiment: UnitToMelExperiment, vocabulary: Vocabulary) -> UnitToMel:
    """The model with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    model = UnitToMel(experiment.sizes(vocabulary))
    if experiment.weights:
        load_weights(model, experiment.weights)
    return model


def run_unit_to_mel_training(experiment: UnitToMelExperiment, folder: Path) -> None:
    """Train the model; writes `vocabulary.json` and `acoustic.safetensors` into `folder`."""
    config = experiment.data
    units = read_units(config)
    vocabulary = units[0].vocabulary
    train, dev, _ = read_speech(config, vocabulary, units)
    vocabulary.save(folder / "vocabulary.json")
    (heard,) = train.parts
    assert isinstance(heard, UnitUtterances)
    assert isinstance(dev, UnitUtterances)
    timed, timed_dev = TimedUnits(heard), TimedUnits(dev)
    n = min(config.dev_limit or len(dev), len(dev))
    batches = [timed_dev.batch(range(first, min(first + 16, n))) for first in range(0, n, 16)]
    plan = training_plan(train, config, experiment.trainer.seed)
    objective = UnitToMelObjective(experiment.loss, config.mel, vocabulary)
    training = Training(build_model(experiment, vocabulary), objective, experiment.optimizer, experiment.trainer)
    loader: DataLoader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(timed, plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

"""Training of WaveNet-VQ: units from speech alone, by how well it is said again from them."""

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.errors import ConfigurationError
from optophone.core.whole_file import write_whole
from optophone.data.manifest import read_dataset
from optophone.data.speaker_segments import (
    SpeakerSegmentBatch,
    SpeakerSegments,
    SpeakerSegmentsConfig,
    segment_plan,
    utterances_of,
)
from optophone.data.speech import speaker_of
from optophone.models.units.fast_wavenet import FastWaveNet
from optophone.models.units.quantizer import perplexity
from optophone.models.units.wavenet_vq import WaveNetVQ, WaveNetVQConfig
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.synthesis import SPEAKERS
from optophone.training.weights import load_weights, save_weights

WEIGHTS = "units.safetensors"
_DEV_BATCH = 4


@dataclass(frozen=True)
class WaveNetUnitsExperiment:
    """A whole configuration of kind "wavenet-units".

    Args:
        data: speech of one or several speakers.
        model: what the front end and the data say is filled in: bands, range and hop of the frames, and `n_speakers`.
        listen_units: units of the first validation segment that are said again to listen to; 0 for none.
        weights: safetensors of a run of this kind, with the same speakers, to start from.
        trainer: leave `average_decay` at 0: codebooks are averages already, of the weights as they are.
    """

    kind: Literal["wavenet-units"]
    name: str
    data: SpeakerSegmentsConfig
    model: WaveNetVQConfig = field(default_factory=WaveNetVQConfig)
    listen_units: int = 25
    weights: str | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        """Refuse averages of weights that the codebook would not fit, and to listen to more than there is."""
        if self.trainer.average_decay:
            raise ConfigurationError("trainer.average_decay: the codebook follows the weights as they are; give 0.")
        if not 0 <= self.listen_units <= self.data.dev_units:
            raise ConfigurationError(f"listen_units is {self.listen_units}; give 0 to data.dev_units.")


class WaveNetUnitsObjective:
    """Likelihood of waves given their units; how many codes are used, and what they cost.

    Args:
        experiment: its configuration; the seed is that of the voices to listen to.
    """

    def __init__(self, experiment: WaveNetUnitsExperiment) -> None:
        self.listen_units, self.sample_rate = experiment.listen_units, experiment.data.bank.sample_rate
        self.seed = experiment.trainer.seed
        self.log_prob, self.n_samples, self.commitments = 0.0, 0, [0.0]
        self.units: list[Tensor] = []
        self.sample: SpeakerSegmentBatch | None = None
        self._begin()

    def _begin(self) -> None:
        self.log_prob, self.n_samples, self.commitments, self.units = 0.0, 0, [], []

    def training_loss(
        self, model: WaveNetVQ, batch: SpeakerSegmentBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of one batch under the codes as they are; then the codes move."""
        output = model(*batch)
        losses = model.losses(output)
        model.update_codebook(output)
        terms = {
            "loss": losses.total,
            "bits_per_sample": losses.reconstruction / math.log(2),
            "commitment": losses.commitment,
            "perplexity": perplexity(output.units, model.config.n_codes),
        }
        return losses.total, terms

    def validate(self, model: WaveNetVQ, batch: SpeakerSegmentBatch) -> None:
        """Collects probabilities and units."""
        output = model(*batch)
        self.log_prob += float(output.log_probs[output.samples_mask].double().sum())
        self.n_samples += int(output.samples_mask.sum())
        self.commitments.append(float(output.commitment))
        self.units.append(output.units.cpu())
        self.sample = self.sample or batch

    def measures(self) -> dict[str, float]:
        """Bits for a sample given the units; codes in use, their perplexity, and the bits that the units are a second.

        Bits a second are units a second times the entropy of a unit, without regard to its neighbours: what a code
        that knows how frequent each unit is needs. Of waves, "mu-law" counts the bits of one in 256 levels and
        "logistics" those of one in 65,536 steps: the two are not to be compared.

        Source: Dunbar et al. 2019, "The Zero Resource Speech Challenge 2019: TTS without T" (the bit rate).
        """
        units = torch.cat(self.units)
        found = {
            "bits_per_sample": -self.log_prob / max(1, self.n_samples) / math.log(2),
            "commitment": sum(self.commitments) / max(1, len(self.commitments)),
            "used_codes": float(len(units.unique())),
            "perplexity": 0.0,
            "bits_per_second": 0.0,
        }
        if len(units):
            found["perplexity"] = float(perplexity(units, int(units.max()) + 1))
            seconds = self.n_samples / self.sample_rate
            found["bits_per_second"] = len(units) / seconds * math.log2(max(1.0, found["perplexity"]))
        self._begin()
        return found

    @torch.no_grad()
    def show(self, model: WaveNetVQ, writer: Any, step: int) -> None:
        """How much each code is used, and the beginning of a validation segment, said again beside the truth."""
        writer.add_histogram("dev/mass", model.quantizer.mass.float().cpu().numpy(), step)
        sample, self.sample = self.sample, None
        if sample is None or not self.listen_units:
            return
        context, n_samples = model.config.context_units, self.listen_units * model.config.samples_per_unit
        encoded = model.encode(sample.levels[:1], sample.frames_mask[:1])
        told = model.conditions(encoded.codes, encoded.mask, sample.speakers[:1])
        wave = FastWaveNet(model.decoder).draw(told[:, :, context : context + self.listen_units], self.seed)
        writer.add_audio("dev/voice", wave, step, sample_rate=self.sample_rate)
        true = sample.wave[:1, :n_samples].cpu().numpy()
        writer.add_audio("dev/voice_true", true, step, sample_rate=self.sample_rate)


def model_config(experiment: WaveNetUnitsExperiment, n_speakers: int) -> WaveNetVQConfig:
    """The configuration of the model, with what the data say filled in."""
    model, bank = experiment.model, experiment.data.bank
    encoder = replace(model.encoder, n_mels=bank.n_mels, range_db=bank.range_db)
    return replace(model, encoder=encoder, n_speakers=n_speakers, samples_per_frame=bank.hop_length)


def build_model(experiment: WaveNetUnitsExperiment, n_speakers: int) -> WaveNetVQ:
    """The model with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    model = WaveNetVQ(model_config(experiment, n_speakers))
    if experiment.weights:
        load_weights(model, experiment.weights)
    return model


def dev_segments(segments: SpeakerSegments, limit: int) -> list[SpeakerSegmentBatch]:
    """The middles of `limit` validation utterances (0: all), evenly spread over the data sets, a few at a time."""
    n = min(limit or len(segments), len(segments))
    chosen = [i * len(segments) // n for i in range(n)]
    return [segments.middles(chosen[first : first + _DEV_BATCH]) for first in range(0, n, _DEV_BATCH)]


def run_wavenet_units(experiment: WaveNetUnitsExperiment, folder: Path) -> None:
    """Train the units; writes `units.safetensors` and `speakers.json`, their names by number, into `folder`."""
    config = experiment.data
    datasets = [read_dataset(path) for path in config.folders]
    spoken, heard = (utterances_of(datasets, split) for split in ("train", "dev"))
    speakers = sorted({speaker_of(*utterance) for utterance in spoken})
    write_whole(folder / SPEAKERS, (json.dumps(speakers, ensure_ascii=False, indent=2) + "\n").encode())
    model = build_model(experiment, len(speakers))
    sizes = model.config.encoder.frames_per_unit, model.config.context_units
    train, dev = (SpeakerSegments(rows, speakers, config, *sizes) for rows in (spoken, heard))
    training = Training(model, WaveNetUnitsObjective(experiment), experiment.optimizer, experiment.trainer)
    plan = segment_plan(spoken, datasets, config, experiment.trainer.seed)
    loader: DataLoader = DataLoader(dev_segments(dev, config.dev_limit), batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(train, plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

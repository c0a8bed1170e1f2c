"""Training of acoustic models that speak all frames at once: symbols → durations, pitch, mel."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from optophone.core.griffin_lim import GriffinLim
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import write_atomically
from optophone.data.speech import JoinedUtterances, SpeechConfig, build_speech_vocabulary
from optophone.models.acoustic.parallel import ParallelAcoustic, ParallelConfig, ParallelOutput
from optophone.training.aligned_speech import AlignedBatch, AlignedUtterances, Aligner
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.synthesis import SPEAKERS, WEIGHTS, picture_of, read_speech, training_plan
from optophone.training.weights import load_weights, save_weights


@dataclass(frozen=True)
class ParallelLossConfig:
    """Weights of what is added to the mean absolute difference of mels.

    Args:
        durations: of the squared difference of ln(1 + frames).
        pitch: of the absolute difference of scaled pitches, where voiced.
        voicing: of the cross-entropy of voiced or not.
    """

    durations: float = 0.1
    pitch: float = 1.0
    voicing: float = 0.1


@dataclass(frozen=True)
class ParallelExperiment:
    """A whole configuration of kind "parallel-acoustic".

    Args:
        aligner_from: folder of the run of a Tacotron 2 over the same data, which tells how long symbols last.
        model: its `n_symbols` and `n_speakers` are filled in.
        weights: safetensors of such a model to start from.
    """

    kind: Literal["parallel-acoustic"]
    name: str
    aligner_from: str
    data: SpeechConfig
    model: ParallelConfig = field(default_factory=ParallelConfig)
    weights: str | None = None
    loss: ParallelLossConfig = field(default_factory=ParallelLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


class ParallelObjective:
    """Losses of a parallel acoustic model; how well it speaks by itself."""

    def __init__(self, loss: ParallelLossConfig, spec: MelSpec, vocabulary: Vocabulary) -> None:
        self.loss, self.spec, self.vocabulary = loss, spec, vocabulary
        self.found: list[dict[str, float]] = []
        self.sample: AlignedBatch | None = None

    def training_loss(self, model: Any, batch: AlignedBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its terms before the weights."""
        output = model(batch.speech.ids, batch.ids_mask, batch.frames, batch.prosody, batch.speech.speakers)
        terms = losses_of(output, batch)
        config = self.loss
        loss = terms["mel"] + config.durations * terms["durations"] + config.pitch * terms["pitch"]
        loss = loss + config.voicing * terms["voicing"]
        return loss, {**terms, "loss": loss}

    def validate(self, model: Any, batch: AlignedBatch) -> None:
        """The losses with true durations and pitch, and how long the model itself would have spoken."""
        output = model(batch.speech.ids, batch.ids_mask, batch.frames, batch.prosody, batch.speech.speakers)
        spoken = (output.log_durations.expm1().clamp(min=0) * batch.ids_mask).sum(1)
        ratio = spoken / batch.speech.mel_lengths
        measures = {name: float(value) for name, value in losses_of(output, batch).items()}
        measures["duration_within_25_percent"] = float(((ratio - 1).abs() <= 0.25).float().mean())
        self.found.append(measures)
        self.sample = batch

    def measures(self) -> dict[str, float]:
        """Means over the validation batches."""
        found, self.found = self.found, []
        return {name: float(np.mean([one[name] for one in found])) for name in found[0]}

    def show(self, model: Any, writer: Any, step: int) -> None:
        """What the model makes of a text of the last validation batch, all by itself, beside the truth."""
        assert self.sample is not None
        speech = self.sample.speech
        ids = speech.ids[0, : int(speech.id_lengths[0])]
        mel, _ = model.infer(ids, None if speech.speakers is None else speech.speakers[:1])
        writer.add_image("dev/mel", picture_of(mel), step)
        writer.add_image("dev/mel_true", picture_of(speech.mel[0, :, : int(speech.mel_lengths[0])]), step)
        writer.add_text("dev/text", self.vocabulary.decode(ids.tolist()), step)
        if mel.shape[1] > 4:
            wave = GriffinLim(self.spec).wave(mel.float().cpu().numpy())
            writer.add_audio("dev/voice", wave[None], step, sample_rate=self.spec.sample_rate)


def losses_of(output: ParallelOutput, batch: AlignedBatch) -> dict[str, Tensor]:
    """Means over valid frames (of mels and voicing), voiced frames (of pitch) and valid symbols (of durations)."""
    mask, voiced = batch.frames.mask, batch.prosody.voiced
    n_frames, n_mels = mask.sum(), output.mel.shape[1]
    mel = ((output.mel - batch.speech.mel).abs() * mask[:, None]).sum() / (n_frames * n_mels)
    pitch = ((output.pitch - batch.prosody.pitch).abs() * voiced).sum() / voiced.sum().clamp(min=1)
    voicing = functional.binary_cross_entropy_with_logits(output.voiced_logits, voiced, reduction="none")
    lasting = (output.log_durations - batch.durations.float().log1p()).square()
    return {
        "mel": mel,
        "pitch": pitch,
        "voicing": (voicing * mask).sum() / n_frames,
        "durations": (lasting * batch.ids_mask).sum() / batch.ids_mask.sum(),
    }


def build_model(experiment: ParallelExperiment, vocabulary: Vocabulary, n_speakers: int = 0) -> ParallelAcoustic:
    """The model with the weights it starts from; 0 speakers is one voice."""
    torch.manual_seed(experiment.trainer.seed)
    sizes = replace(experiment.model, n_symbols=len(vocabulary), n_speakers=n_speakers)
    model = ParallelAcoustic(sizes, experiment.data.mel)
    if experiment.weights:
        load_weights(model, experiment.weights)
    return model


def run_parallel_synthesis(experiment: ParallelExperiment, folder: Path) -> None:
    """Train the model; writes what `run_synthesis` does into `folder`."""
    config = experiment.data
    vocabulary = build_speech_vocabulary()
    train, dev, speakers = read_speech(config, vocabulary)
    vocabulary.save(folder / "vocabulary.json")
    if speakers:
        write_atomically(folder / SPEAKERS, (json.dumps(speakers, ensure_ascii=False, indent=2) + "\n").encode())
    torch.set_num_threads(experiment.trainer.threads)
    aligner = Aligner(experiment.aligner_from, vocabulary, speakers)
    aligned, aligned_dev = (AlignedUtterances(part, aligner, config.mel) for part in (train, JoinedUtterances([dev])))
    plan = training_plan(train, config, experiment.trainer.seed)
    objective = ParallelObjective(experiment.loss, config.mel, vocabulary)
    model = build_model(experiment, vocabulary, len(speakers))
    training = Training(model, objective, experiment.optimizer, experiment.trainer)
    n = min(config.dev_limit or len(dev), len(dev))
    batches = [aligned_dev.batch(range(first, min(first + 16, n))) for first in range(0, n, 16)]
    loader: DataLoader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(aligned, plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

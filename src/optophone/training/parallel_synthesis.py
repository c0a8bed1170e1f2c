"""Training of acoustic models that speak all frames at once: symbols → durations, perhaps pitch, mel."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.data.speech import JoinedUtterances, SpeechBatch, SpeechConfig
from optophone.data.unit_speech import UnitUtterances
from optophone.models.acoustic.mel_discriminators import MelDiscriminators, MelDiscriminatorsConfig
from optophone.models.acoustic.parallel import ParallelAcoustic, ParallelConfig, ParallelOutput
from optophone.training.adversarial_loss import AdversarialLossConfig, AdversarialLosses, adversarial_loss
from optophone.training.aligned_speech import AlignedBatch, AlignedUtterances, TimedUnits
from optophone.training.aligners import Aligner, BySpelling, read_aligner
from optophone.training.experiment import Means, TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.synthesis import WEIGHTS, Speech, dev_batches, read_speech, show_utterance, training_plan
from optophone.training.weights import load_weights, save_weights


@dataclass(frozen=True)
class ParallelLossConfig:
    """The difference of mels, and weights of what is added to it.

    Args:
        distance: mean difference of mels: absolute ("l1"), squared ("mse"), or the sum of both.
        durations: of the gamma deviance of 1 + frames, which is near the squared difference of their logarithms but has
            its minimum at the mean: a mean of logarithms would make whole sentences too short.
        pitch: of the absolute difference of scaled pitches, where voiced; for models with prosody.
        voicing: of the cross-entropy of voiced or not; for models with prosody.
    """

    distance: Literal["l1", "mse", "mse+l1"] = "l1"
    durations: float = 0.1
    pitch: float = 1.0
    voicing: float = 0.1


@dataclass(frozen=True)
class AdversaryConfig:
    """Networks that the voice plays against, so that it says one of the things that people say, not their average.

    Args:
        n_frames: of the excerpts that these see, one of each utterance.
        discriminators: their sizes.
        game: from when on, and how it is weighed.
    """

    n_frames: int = 96
    discriminators: MelDiscriminatorsConfig = field(default_factory=MelDiscriminatorsConfig)
    game: AdversarialLossConfig = field(default_factory=AdversarialLossConfig)


@dataclass(frozen=True)
class ParallelExperiment:
    """A whole configuration of kind "parallel-acoustic", over text, or "unit-to-mel", over units.

    Args:
        data: units are of one data set of one voice, and their column has lengths.
        aligner_from: folder of a run of kind "aligner", or "acoustic" (a Tacotron 2), over the same data, which tells
            how long symbols last; not for units, whose lengths are known.
        further_aligners_from: the same, for voices that `aligner_from` does not know.
        phones_aligned_from: the same, for utterances of any voice with inline phones (`prepare phones`), which those
            who learned from letters misplace; None leaves them to the others.
        model: its `n_symbols` and `n_speakers` are filled in; over units it has no prosody.
        weights: safetensors of such a model to start from.
        adversary: what it plays against; None trains by differences of mels alone.
    """

    kind: Literal["parallel-acoustic", "unit-to-mel"]
    name: str
    data: SpeechConfig
    aligner_from: str | None = None
    further_aligners_from: tuple[str, ...] = ()
    phones_aligned_from: str | None = None
    model: ParallelConfig = field(default_factory=ParallelConfig)
    weights: str | None = None
    loss: ParallelLossConfig = field(default_factory=ParallelLossConfig)
    adversary: AdversaryConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        """Refuse what does not go with the symbols that the kind reads."""
        over_units = self.kind == "unit-to-mel"
        if over_units != (self.data.symbols == "units"):
            wants = "reads units; give units and their column" if over_units else "reads text; leave units out"
            raise ConfigurationError(f"data.symbols: a {self.kind} model {wants}.")
        if over_units == (self.aligner_from is not None):
            wants = "units have lengths; leave it out" if over_units else "give a run that aligns text and speech"
            raise ConfigurationError(f"aligner_from: {wants}.")
        if over_units and (self.further_aligners_from or self.phones_aligned_from):
            raise ConfigurationError("further_aligners_from, phones_aligned_from: units have lengths; leave them out.")
        if over_units and (self.data.also or self.data.speakers):
            raise ConfigurationError("data: a unit-to-mel model learns one voice; leave out also and speakers.")
        if over_units and self.model.prosody:
            raise ConfigurationError("model.prosody: columns of units hold no pitch; give false.")


class JudgedVoice(nn.Module):
    """A voice and the networks it plays against, trained side by side; only the voice is kept."""

    def __init__(self, voice: ParallelAcoustic, discriminators: MelDiscriminators) -> None:
        super().__init__()
        self.voice = voice
        self.discriminators = discriminators


class ParallelObjective:
    """Losses of a parallel acoustic model; how long it would have spoken by itself."""

    def __init__(
        self,
        loss: ParallelLossConfig,
        spec: MelSpec,
        vocabulary: Vocabulary,
        adversary: AdversaryConfig | None = None,
    ) -> None:
        self.loss, self.spec, self.vocabulary, self.adversary = loss, spec, vocabulary, adversary
        self.means = Means()
        self.measures = self.means.taken
        self.sample: AlignedBatch | None = None

    def training_loss(self, model: Any, batch: AlignedBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its terms before the weights."""
        output = _speak(model, batch)
        terms = losses_of(output, batch)
        config = self.loss
        weights = {"durations": config.durations, "pitch": config.pitch, "voicing": config.voicing}
        weights |= {"mel": float("l1" in config.distance), "mel_squared": float("mse" in config.distance)}
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        first = None if self.adversary is None else self.adversary.game.from_step
        if first is not None and step >= first:
            game = self._play(model.discriminators, output.mel, batch.speech)
            loss = loss + game.total
            terms |= {name: value for name, value in game._asdict().items() if name != "total"}
        return loss, {**terms, "loss": loss}

    def _play(self, discriminators: nn.Module, spoken: Tensor, speech: SpeechBatch) -> AdversarialLosses:
        """The game over one excerpt of each utterance."""
        assert self.adversary is not None
        n = self.adversary.n_frames
        starts = (torch.rand(len(spoken), device=spoken.device) * (speech.mel_lengths - n + 1).clamp(min=1)).long()
        places = (starts[:, None] + torch.arange(n, device=spoken.device)).clamp(max=spoken.shape[2] - 1)
        places = places[:, None].expand(-1, spoken.shape[1], -1)
        return adversarial_loss(
            discriminators, spoken.gather(2, places), speech.mel.gather(2, places), self.adversary.game
        )

    def validate(self, model: Any, batch: AlignedBatch) -> None:
        """The losses with true durations and pitch, and how long the model itself would have spoken."""
        output = _speak(model, batch)
        spoken = (output.log_durations.expm1().clamp(min=0) * batch.ids_mask).sum(1)
        ratio = spoken / batch.speech.mel_lengths
        measures = {name: float(value) for name, value in losses_of(output, batch).items()}
        measures["duration_within_25_percent"] = float(((ratio - 1).abs() <= 0.25).float().mean())
        measures["duration_ratio"] = float(spoken.sum() / batch.speech.mel_lengths.sum())
        self.means.add(measures)
        self.sample = batch

    def show(self, model: Any, writer: Any, step: int) -> None:
        """What the model makes of a text of the last validation batch, all by itself, beside the truth."""
        assert self.sample is not None
        speech = self.sample.speech
        ids = speech.ids[0, : int(speech.id_lengths[0])]
        mel, _ = _voice_of(model).infer(ids, None if speech.speakers is None else speech.speakers[:1])
        show_utterance(writer, step, self.spec, mel, speech, self.vocabulary.decode(ids.tolist()))


def _speak(model: Any, batch: AlignedBatch) -> ParallelOutput:
    voice = _voice_of(model)
    return voice(batch.speech.ids, batch.ids_mask, batch.frames, batch.prosody, batch.speech.speakers)


def _voice_of(model: Any) -> ParallelAcoustic:
    return model.voice if isinstance(model, JudgedVoice) else model


def losses_of(output: ParallelOutput, batch: AlignedBatch) -> dict[str, Tensor]:
    """Means over valid frames (of mels and voicing), voiced frames (of pitch) and valid symbols (of durations)."""
    mask = batch.frames.mask
    n_frames, n_mels = mask.sum(), output.mel.shape[1]
    off = (output.mel - batch.speech.mel) * mask[:, None]
    too_short = batch.durations.float().log1p() - output.log_durations
    lasting = 2 * (too_short.exp() - too_short - 1)
    terms = {
        "mel": off.abs().sum() / (n_frames * n_mels),
        "mel_squared": off.square().sum() / (n_frames * n_mels),
        "durations": (lasting * batch.ids_mask).sum() / batch.ids_mask.sum(),
    }
    if output.prosody is None:
        return terms
    assert batch.prosody is not None
    voiced = batch.prosody.voiced
    pitch = ((output.prosody.pitch - batch.prosody.pitch).abs() * voiced).sum() / voiced.sum().clamp(min=1)
    voicing = functional.binary_cross_entropy_with_logits(output.prosody.voiced_logits, voiced, reduction="none")
    return {**terms, "pitch": pitch, "voicing": (voicing * mask).sum() / n_frames}


def build_model(experiment: ParallelExperiment, vocabulary: Vocabulary, n_speakers: int = 0) -> ParallelAcoustic:
    """The model with the weights it starts from; 0 speakers is one voice."""
    torch.manual_seed(experiment.trainer.seed)
    sizes = replace(experiment.model, n_symbols=len(vocabulary), n_speakers=n_speakers)
    model = ParallelAcoustic(sizes, experiment.data.mel)
    if experiment.weights:
        load_weights(model, experiment.weights)
    return model


def with_judges(voice: ParallelAcoustic, experiment: ParallelExperiment) -> nn.Module:
    """What is trained: the voice, and where there is an adversary, its judges beside it."""
    if experiment.adversary is None:
        return voice
    return JudgedVoice(voice, MelDiscriminators(experiment.adversary.discriminators))


def aligned(experiment: ParallelExperiment, speech: Speech) -> Sequence[AlignedUtterances] | Sequence[TimedUnits]:
    """What is learned and what is validated on, with how long every symbol lasts."""
    if experiment.aligner_from is None:
        parts = (*speech.train.parts, speech.dev)
        return [TimedUnits(part) for part in parts if isinstance(part, UnitUtterances)]
    aligner = read_aligners(experiment, speech)
    joined = (speech.train, JoinedUtterances([speech.dev]))
    return [AlignedUtterances(part, aligner, experiment.data.mel) for part in joined]


def read_aligners(experiment: ParallelExperiment, speech: Speech) -> Aligner:
    """Whoever says how long letters, and perhaps phones, last."""
    assert experiment.aligner_from is not None
    vocabulary, speakers = speech.vocabulary, speech.speakers
    of_letters = read_aligner(experiment.aligner_from, vocabulary, speakers, *experiment.further_aligners_from)
    if experiment.phones_aligned_from is None:
        return of_letters
    return BySpelling(of_letters, read_aligner(experiment.phones_aligned_from, vocabulary, speakers), vocabulary)


def run_parallel_synthesis(experiment: ParallelExperiment, folder: Path) -> None:
    """Train the model; writes what `run_synthesis` does into `folder`."""
    config = experiment.data
    speech = read_speech(config)
    speech.describe(folder)
    torch.set_num_threads(experiment.trainer.threads)
    train, dev = aligned(experiment, speech)
    plan = training_plan(speech.train, config, experiment.trainer.seed)
    objective = ParallelObjective(experiment.loss, config.mel, speech.vocabulary, experiment.adversary)
    voice = build_model(experiment, speech.vocabulary, len(speech.speakers))
    training = Training(with_judges(voice, experiment), objective, experiment.optimizer, experiment.trainer)
    loader: DataLoader = DataLoader(dev_batches(dev, config.dev_limit), batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(train, plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(_voice_of(training.best_model), folder / WEIGHTS)

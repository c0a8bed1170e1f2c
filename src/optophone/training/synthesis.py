"""Training of acoustic models: symbols → mel."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.errors import ConfigurationError
from optophone.core.griffin_lim import GriffinLim
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.core.whole_file import write_whole
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.data.speech import (
    JoinedUtterances,
    SpeechBatch,
    SpeechConfig,
    SpokenRows,
    Utterances,
    build_speech_vocabulary,
    frame_counts,
    speaker_names,
    spoken_rows,
)
from optophone.data.steps import Plan, length_plan, mixed_plan
from optophone.data.unit_speech import UnitUtterances, rows_with_units
from optophone.data.unit_symbols import UnitSymbols, read_unit_symbols
from optophone.models.acoustic.speaker_growth import grow_speakers
from optophone.models.acoustic.tacotron2 import AcousticUtterance, Tacotron2, Tacotron2Config
from optophone.training.acoustic_loss import AcousticLoss, AcousticLossConfig
from optophone.training.experiment import Means, TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.weights import put_weights, read_weights, save_weights

WEIGHTS = "acoustic.safetensors"
SPEAKERS = "speakers.json"
Batch = TypeVar("Batch", covariant=True)


@dataclass(frozen=True)
class SynthesisExperiment:
    """A whole configuration of kind "acoustic".

    Args:
        model: its `n_symbols`, `n_mels` and `n_speakers` are filled in from the vocabulary, the mel and the data.
        weights: safetensors of an acoustic model to start from; a model of several voices may start from one of a
            single voice.
    """

    kind: Literal["acoustic"]
    name: str
    data: SpeechConfig
    model: Tacotron2Config = field(default_factory=Tacotron2Config)
    weights: str | None = None
    loss: AcousticLossConfig = field(default_factory=AcousticLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


class SynthesisObjective:
    """Losses of an acoustic model; how well it speaks by itself."""

    def __init__(self, loss: AcousticLossConfig, spec: MelSpec, vocabulary: Vocabulary) -> None:
        self.loss = AcousticLoss(loss)
        self.spec, self.vocabulary = spec, vocabulary
        self.means = Means()
        self.measures = self.means.taken
        self.sample: tuple[SpeechBatch, AcousticUtterance] | None = None

    def training_loss(self, model: Any, batch: SpeechBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mel distance, stop and guided attention of one batch."""
        output = model(*batch)
        losses = self.loss(output, batch.mel, batch.mel_lengths, batch.id_lengths)
        terms = {name: value for name, value in losses._asdict().items() if name != "total"}
        return losses.total, {"loss": losses.total, **terms}

    def validate(self, model: Any, batch: SpeechBatch) -> None:
        """Teacher-forced loss, and free-running speech against the truth."""
        output = model(*batch)
        losses = self.loss(output, batch.mel, batch.mel_lengths, batch.id_lengths)
        spoken = model.infer(batch.ids, batch.id_lengths, batch.speakers)
        ratio = spoken.mel_lengths.float() / batch.mel_lengths
        self.means.add(
            {
                "mel_after": float(losses.mel_after),
                "stopped": float(spoken.stopped.float().mean()),
                "duration_within_25_percent": float(((ratio - 1).abs() <= 0.25).float().mean()),
                "attention_focus": float(_focus(spoken, model.config.reduction_factor)),
            }
        )
        self.sample = (batch, spoken)

    def show(self, model: Any, writer: Any, step: int) -> None:
        """Spectrograms, an alignment and a voice from the last validation batch."""
        assert self.sample is not None
        batch, spoken = self.sample
        length = int(spoken.mel_lengths[0])
        text = self.vocabulary.decode(batch.ids[0, : int(batch.id_lengths[0])].tolist())
        show_utterance(writer, step, self.spec, spoken.mel_after[0, :, :length], batch, text)
        alignment = spoken.alignment[0, : -(-length // model.config.reduction_factor), : int(batch.id_lengths[0])]
        writer.add_image("dev/alignment", picture_of(alignment.T.float()), step)


def show_utterance(writer: Any, step: int, spec: MelSpec, mel: Tensor, batch: SpeechBatch, text: str) -> None:
    """What a model makes of the first utterance of a batch, `mel` (M, T), beside the truth, with its `text`."""
    writer.add_image("dev/mel", picture_of(mel.float()), step)
    writer.add_image("dev/mel_true", picture_of(batch.mel[0, :, : int(batch.mel_lengths[0])]), step)
    writer.add_text("dev/text", text, step)
    if mel.shape[1] > 4:
        wave = GriffinLim(spec).wave(mel.float().cpu().numpy())
        writer.add_audio("dev/voice", wave[None], step, sample_rate=spec.sample_rate)


def _focus(spoken: AcousticUtterance, reduction_factor: int) -> Tensor:
    """Mean of the largest attention weight per step: near 1 when every step reads one symbol."""
    peaks = spoken.alignment.float().amax(2)
    lengths = (spoken.mel_lengths + reduction_factor - 1) // reduction_factor
    valid = torch.arange(peaks.shape[1], device=peaks.device)[None] < lengths[:, None]
    return peaks[valid].mean()


def read_speakers(folder: Path) -> tuple[str, ...]:
    """The voices by number of a run that tells voices apart.

    Raises:
        ConfigurationError: the run has no list of them.
    """
    try:
        speakers = json.loads((folder / SPEAKERS).read_bytes())
    except (OSError, ValueError):
        speakers = None
    if not (isinstance(speakers, list) and speakers and all(isinstance(name, str) for name in speakers)):
        raise ConfigurationError(f"{folder / SPEAKERS}: missing or no list of names; train again.")
    return tuple(speakers)


def picture_of(values: Tensor) -> Tensor:
    """(rows, columns) as a grey image (1, rows, columns), 0..1, the first row at the bottom."""
    low, high = values.min(), values.max()
    return ((values - low) / (high - low).clamp(min=1e-8)).flip(0)[None]


class Rows(Protocol[Batch]):
    """Utterances that are put into batches by their numbers."""

    def batch(self, indices: Sequence[int]) -> Batch:
        """Rows `indices`, collated."""
        ...

    def __len__(self) -> int:
        """Rows."""
        ...


def dev_batches(utterances: Rows[Batch], limit: int) -> list[Batch]:
    """The first `limit` development utterances (0: all), 16 at a time."""
    n = min(limit or len(utterances), len(utterances))
    return [utterances.batch(range(first, min(first + 16, n))) for first in range(0, n, 16)]


def build_model(experiment: SynthesisExperiment, vocabulary: Vocabulary, n_speakers: int = 0) -> Tacotron2:
    """The acoustic model with the weights it starts from; 0 speakers is one voice."""
    torch.manual_seed(experiment.trainer.seed)
    n_mels = experiment.data.mel.n_mels
    model = Tacotron2(replace(experiment.model, n_symbols=len(vocabulary), n_mels=n_mels, n_speakers=n_speakers))
    if experiment.weights:
        put_weights(model, grow_speakers(read_weights(experiment.weights), model), experiment.weights)
    return model


def training_plan(train: JoinedUtterances, config: SpeechConfig, seed: int) -> Plan:
    """Batches by length, of each data set its share."""
    plans = [
        length_plan(frame_counts(part.rows, config.mel), config.frames_per_batch, config.max_batch, seed)
        for part in train.parts
    ]
    return plans[0] if len(plans) == 1 else mixed_plan(plans, list(map(len, train.parts)), config.shares, seed)


def read_units(config: SpeechConfig) -> list[UnitSymbols]:
    """The units of all data sets, the main one's first; none where text is read.

    Raises:
        ConfigurationError: data sets in different units.
    """
    units = [read_unit_symbols(folder, config.run_length) for folder in config.unit_folders if folder is not None]
    for other in units[1:]:
        if other.vocabulary != units[0].vocabulary or not other.origin.agrees_with(units[0].origin):
            raise ConfigurationError(
                f"data.also: {other.column.dataset.folder} holds units of {other.origin}, "
                f"{units[0].column.dataset.folder} those of {units[0].origin}; make both with one encoder."
            )
    return units


class Speech(NamedTuple):
    """Fields: vocabulary of what is read; train, what is learned; dev, what is validated on; speakers, the voices by
    number (none where they are not told apart)."""

    vocabulary: Vocabulary
    train: JoinedUtterances
    dev: SpokenRows
    speakers: Sequence[str]

    def describe(self, folder: Path) -> None:
        """Write `vocabulary.json` and, where voices are told apart, `speakers.json` into `folder`."""
        self.vocabulary.save(folder / "vocabulary.json")
        if self.speakers:
            names = json.dumps(self.speakers, ensure_ascii=False, indent=2)
            write_whole(folder / SPEAKERS, (names + "\n").encode())


def read_speech(config: SpeechConfig) -> Speech:
    """The speech that a run learns from.

    Raises:
        ConfigurationError: data sets in different units.
    """
    units = read_units(config)
    vocabulary = units[0].vocabulary if units else build_speech_vocabulary()
    datasets = [read_dataset(folder) for folder in config.folders]
    known: list[UnitSymbols | None] = list(units) or [None] * len(datasets)
    corpora = [
        (dataset, _rows(dataset, "train", config, column)) for dataset, column in zip(datasets, known, strict=True)
    ]
    speakers = speaker_names(corpora) if config.speakers else ()

    def utterances(dataset: Dataset, rows: list[Row], split: str, column: UnitSymbols | None) -> SpokenRows:
        spoken = Utterances(dataset, rows, vocabulary, config.mel, speakers)
        return spoken if column is None else UnitUtterances(spoken, column, split, config.chunk_curriculum)

    train = [utterances(dataset, rows, "train", column) for (dataset, rows), column in zip(corpora, known, strict=True)]
    dev = utterances(datasets[0], _rows(datasets[0], "dev", config, known[0]), "dev", known[0])
    return Speech(vocabulary, JoinedUtterances(train), dev, speakers)


def _rows(dataset: Dataset, split: str, config: SpeechConfig, units: UnitSymbols | None) -> list[Row]:
    rows = spoken_rows(dataset, split, config)
    return rows if units is None else rows_with_units(rows, units, split)


def run_synthesis(experiment: SynthesisExperiment, folder: Path) -> None:
    """Train the acoustic model.

    Writes `vocabulary.json`, `acoustic.safetensors` and, where voices are told apart, `speakers.json` (their names by
    number) into `folder`.
    """
    config = experiment.data
    speech = read_speech(config)
    speech.describe(folder)
    model = build_model(experiment, speech.vocabulary, len(speech.speakers))
    plan = training_plan(speech.train, config, experiment.trainer.seed)
    objective = SynthesisObjective(experiment.loss, config.mel, speech.vocabulary)
    training = Training(model, objective, experiment.optimizer, experiment.trainer)
    dev: DataLoader = DataLoader(dev_batches(speech.dev, config.dev_limit), batch_size=None)  # type: ignore[arg-type]
    fit(training, training_loader(speech.train, plan, experiment.trainer), dev, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

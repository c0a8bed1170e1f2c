"""Training of direct models: pictures → speech in one network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.k_means import KMeansConfig
from optophone.core.residual_k_means import fit_residual_k_means
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import read_dataset
from optophone.data.speech import Utterances
from optophone.data.spoken_mels import DevSpokenMels, SpokenMelBatch, SpokenMels, SpokenMelsConfig
from optophone.data.steps import shuffled_plan
from optophone.data.unit_symbols import UnitSymbols, read_unit_symbols
from optophone.models.direct.build import FAMILY, DirectConfig, build_direct
from optophone.models.direct.direct import Direct
from optophone.models.direct.frame_codes import FrameCodes
from optophone.models.direct.frame_transformer import FrameTransformer
from optophone.models.direct.joint import Joint
from optophone.models.encoders.build import EncoderConfig
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.training.bundled_encoder import load_encoder
from optophone.training.direct_batch import DirectBatch, direct_batch
from optophone.training.experiment import CHECKPOINT, Objective, TrainerConfig, Training, fit, training_loader
from optophone.training.frame_objective import FrameLossConfig, FrameObjective
from optophone.training.frozen_regions import compute_regions
from optophone.training.joint_objective import JointLossConfig, JointObjective
from optophone.training.optimization import OptimizerConfig
from optophone.training.run_origin import check_units_of
from optophone.training.scheduled_sampling import ScheduledSamplingConfig
from optophone.training.show_and_speak_objective import ShowAndSpeakLossConfig, ShowAndSpeakObjective
from optophone.training.weights import load_weights, save_weights

WEIGHTS = "direct.safetensors"
_N_FITTED = 2000  # utterances that the codes of frames are found in


class Lessons(NamedTuple):
    """How a member is taught: its loss's configuration, and what makes its objective of an experiment and the data."""

    loss: type
    build: Callable[["DirectExperiment", Any, UnitSymbols | None], Objective]


LESSONS: dict[str, Lessons] = {
    "joint": Lessons(JointLossConfig, lambda experiment, loss, units: JointObjective(loss, experiment.search, units)),
    "show-and-speak": Lessons(
        ShowAndSpeakLossConfig, lambda experiment, loss, _: ShowAndSpeakObjective(loss, experiment.scheduled_sampling)
    ),
    "transformer": Lessons(FrameLossConfig, lambda _, loss, __: FrameObjective(loss)),
}


@dataclass(frozen=True)
class DirectExperiment:
    """A whole configuration of kind "direct".

    Args:
        data: pictures and their spoken captions; with units for the member "joint".
        model: which member of the family, and its options.
        loss: of that member: see `JointLossConfig`, `FrameLossConfig`, `ShowAndSpeakLossConfig`.
        codes: how the codes of frames are found, for "transformer"; their number is the model's.
        encoder: options of the encoder that is meant by them.
        encoder_from: safetensors of a whole captioner whose encoder is taken, or the folder of its bundle.
        captioner_weights: safetensors of a run of kind "captioner" over the same units: encoder and captioner that
            "joint" starts from.
        voice_weights: safetensors of a run of kind "unit-to-mel" over the same units: the voice that "joint" starts
            from.
        frozen_views: 0 trains the encoder too; above, the encoder is frozen and looks once at this many views of each
            picture: as it is, mirrored, then random ones.
        scheduled_sampling: when and how often "show-and-speak" reads its own frames.
        search: how the exported model chooses what to say unless told otherwise, and "joint" in validation. Lengths are
            in units, or in steps of frames; "show-and-speak" takes its seed alone.
    """

    kind: Literal["direct"]
    name: str
    data: SpokenMelsConfig
    model: DirectConfig = field(default_factory=DirectConfig)
    loss: dict[str, Any] = field(default_factory=dict)
    codes: KMeansConfig = field(default_factory=lambda: KMeansConfig(n_seeding=8000, n_steps=100, n_passes=3))
    encoder: EncoderConfig = field(default_factory=ResidualGridConfig)
    encoder_from: str | None = None
    captioner_weights: str | None = None
    voice_weights: str | None = None
    frozen_views: int = 0
    scheduled_sampling: ScheduledSamplingConfig | None = None
    search: SearchConfig = field(default_factory=SearchConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        """Refuse what does not go with the member that is trained."""
        assert LESSONS.keys() == FAMILY.keys()
        self.typed_loss()
        joint = self.model.name == "joint"
        if joint != (self.data.units is not None):
            wants = "goes by way of units; give a column" if joint else "goes without units; leave it out"
            raise ConfigurationError(f"data.units: the model {self.model.name} {wants}.")
        if not joint and (self.captioner_weights or self.voice_weights):
            raise ConfigurationError("captioner_weights, voice_weights: only the model joint has these halves.")
        if self.scheduled_sampling is not None and self.model.name != "show-and-speak":
            raise ConfigurationError("scheduled_sampling: only show-and-speak reads its own frames; leave it out.")
        if self.captioner_weights and self.encoder_from:
            raise ConfigurationError("encoder_from: captioner_weights have an encoder; give one of the two.")

    def typed_loss(self) -> Any:
        """`loss` as the member's own configuration."""
        return from_mapping(LESSONS[self.model.name].loss, self.loss, "loss")


class DirectBatches(TorchDataset):
    """Batches of `source`, ready for the models, by step or by number."""

    def __init__(self, source: SpokenMels | DevSpokenMels) -> None:
        self.source = source

    def __getitem__(self, which: Any) -> DirectBatch:
        """The batch of one step (`StepItems`) or with that number."""
        batch: SpokenMelBatch = self.source[which]
        return direct_batch(batch)

    def __len__(self) -> int:
        return len(self.source)


def read_units(config: SpokenMelsConfig) -> UnitSymbols | None:
    """The units on the way; None where there are none."""
    return None if config.units is None else read_unit_symbols(config.units)


def build_model(experiment: DirectExperiment, vocabulary: Vocabulary | None) -> Direct:
    """The model with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    config = experiment.data
    model = build_direct(experiment.encoder, experiment.model, config.mel, config.size, vocabulary)
    if experiment.encoder_from:
        load_encoder(model.encoder, experiment.encoder_from)
    if isinstance(model.speaker, Joint):
        if experiment.captioner_weights:
            load_weights(model.encoder, experiment.captioner_weights, prefix="encoder.")
            load_weights(model.speaker.captioner, experiment.captioner_weights, prefix="decoder.")
        if experiment.voice_weights:
            load_weights(model.speaker.voice, experiment.voice_weights)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def fit_codes(codes: FrameCodes, utterances: Utterances, numbers: list[int], config: KMeansConfig) -> None:
    """Find the centres of `codes` in utterances `numbers`, or in `_N_FITTED` of them, evenly spread."""
    chosen = np.unique(np.linspace(0, len(numbers) - 1, min(_N_FITTED, len(numbers))).round().astype(int))
    groups = []
    for i in chosen:
        mel = torch.from_numpy(utterances.mel(numbers[i])).float()[None]
        groups.append(codes.groups(mel, torch.tensor([mel.shape[2]]))[0].numpy())
    n_levels, n_codes, _ = codes.centres.shape
    sizes = KMeansConfig(n_codes, config.n_seeding, config.n_steps, config.batch_size, config.n_passes, config.seed)
    codes.set_centres(fit_residual_k_means(np.concatenate(groups), n_levels, sizes))


def run_direct(experiment: DirectExperiment, folder: Path) -> None:
    """Train the model; writes `direct.safetensors` and, over units, `vocabulary.json` into `folder`."""
    config = experiment.data
    pictures, speech, units = read_dataset(config.pictures), read_dataset(config.speech), read_units(config)
    torch.set_num_threads(experiment.trainer.threads)
    train = SpokenMels(pictures, speech, "train", config, units)
    dev = DevSpokenMels(SpokenMels(pictures, speech, "dev", config, units))
    if units is not None:
        units.vocabulary.save(folder / "vocabulary.json")
        for weights in (experiment.captioner_weights, experiment.voice_weights):
            check_units_of(weights, units)
    model = build_model(experiment, None if units is None else units.vocabulary)
    if isinstance(model.speaker, FrameTransformer) and not (folder / CHECKPOINT).is_file():
        spoken = [number for numbers in train.about for number in numbers]
        fit_codes(model.speaker.codes, train.utterances, spoken, experiment.codes)
    if experiment.frozen_views:
        train.regions = compute_regions(model.encoder, train, experiment.frozen_views, folder.parent / "regions")
        model.encoder.requires_grad_(False)
    objective = LESSONS[experiment.model.name].build(experiment, experiment.typed_loss(), units)
    training = Training(model, objective, experiment.optimizer, experiment.trainer)
    plan = shuffled_plan(len(train), config.batch_size, experiment.trainer.seed)
    loader: DataLoader = DataLoader(DirectBatches(dev), batch_size=None)
    fit(training, training_loader(DirectBatches(train), plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

"""Training of ResDAVEnet-VQ: units from pairs of a picture and speech about it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from optophone.core.errors import ConfigurationError
from optophone.core.picture import PictureSpec
from optophone.data.manifest import Dataset, read_dataset
from optophone.data.pictures import as_batch, normalize, resized
from optophone.data.spoken_pictures import (
    DEV_BATCH,
    AllPictures,
    DevPairs,
    Speech,
    SpokenPictureBatch,
    SpokenPictures,
    SpokenPicturesConfig,
)
from optophone.data.steps import shuffled_plan
from optophone.evaluation.retrieval import retrieval_scores
from optophone.models.encoders.build import EncoderConfig
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.models.units.matching import pooled_speech
from optophone.models.units.quantizer import perplexity
from optophone.models.units.resdavenet import ResDAVEnetConfig
from optophone.models.units.resdavenet_vq import ResDAVEnetVQ, ResDAVEnetVQConfig
from optophone.training.bundled_encoder import load_encoder
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.frozen_regions import compute_regions
from optophone.training.half_precision import processor_autocast
from optophone.training.optimization import OptimizerConfig
from optophone.training.weights import save_weights

WEIGHTS = "units.safetensors"


@dataclass(frozen=True)
class UnitLearningExperiment:
    """A whole configuration of kind "units".

    A curriculum such as {2}→{2,3} is a chain of configurations: each names the weights of the one before it as
    `weights` and has more quantizers, which begin anew while everything else goes on.

    Args:
        model: the half that hears; its `n_mels` are filled in from the front end.
        encoder: options of the half that sees, as for captioners.
        encoder_from: safetensors of a captioner whose encoder is taken, or the folder of its bundle.
        frozen_views: 0 trains the encoder too; above, the encoder is frozen and looks once at this many views of each
            picture: as it is, mirrored, then random ones.
        margin: by which partners are to win over impostors.
        weights: safetensors of a run of this kind to start from; its quantizers are among those of `model`.
        trainer: leave `average_decay` at 0: codebooks are averages already, of the weights as they are.
    """

    kind: Literal["units"]
    name: str
    data: SpokenPicturesConfig
    model: ResDAVEnetConfig = field(default_factory=ResDAVEnetConfig)
    encoder: EncoderConfig = field(default_factory=ResidualGridConfig)
    encoder_from: str | None = None
    frozen_views: int = 0
    margin: float = 1.0
    weights: str | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        """Refuse averages of weights that the codebooks would not fit."""
        if self.trainer.average_decay:
            raise ConfigurationError("trainer.average_decay: codebooks follow the weights as they are; leave it at 0.")
        if self.data.batch_size < 2:
            raise ConfigurationError("data.batch_size: matching needs at least 2 pairs.")


class UnitLearningObjective:
    """Matching and quantization losses; how well pictures and speech find each other."""

    def __init__(self) -> None:
        self.pictures: list[Tensor] = []
        self.speech: list[Tensor] = []
        self.units: dict[int, list[Tensor]] = {}

    def training_loss(
        self, model: ResDAVEnetVQ, batch: SpokenPictureBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of one batch under the codes as they are; then the codes move."""
        regions = model.regions(batch.pictures)
        output = model(batch.levels, batch.n_frames)
        losses = model.losses(regions, output)
        model.update_codebooks(output)
        used = {
            f"perplexity_{position}": perplexity(model.audio.valid_units(output, position), n_codes)
            for position, n_codes in zip(model.config.audio.quantizers, model.config.audio.n_codes, strict=True)
        }
        return losses.total, {"loss": losses.total, **losses._asdict(), **used}

    def validate(self, model: ResDAVEnetVQ, batch: SpokenPictureBatch) -> None:
        """Collects both sides of the pairs, and the units."""
        output = model(batch.levels, batch.n_frames)
        self.pictures.append(model.regions(batch.pictures).float().mean(1).cpu())
        self.speech.append(pooled_speech(output.frames, output.lengths).cpu())
        for position in model.config.audio.quantizers:
            self.units.setdefault(position, []).append(model.audio.valid_units(output, position).cpu())

    def measures(self) -> dict[str, float]:
        """Recalls among all pairs, both ways, and how many codes are in use."""
        found = retrieval_scores((torch.cat(self.pictures) @ torch.cat(self.speech).T).numpy())
        measures = {f"speech_recall_{rank}": share for rank, share in found.to_speech.items()}
        measures |= {f"picture_recall_{rank}": share for rank, share in found.to_picture.items()}
        measures["recall_10"], measures["chance_10"] = found.mean(10), found.chance(10)
        for position, parts in self.units.items():
            units = torch.cat(parts)
            measures[f"used_codes_{position}"] = float(len(units.unique()))
            measures[f"perplexity_{position}"] = float(perplexity(units, int(units.max()) + 1)) if len(units) else 0.0
        self.pictures, self.speech, self.units = [], [], {}
        return measures

    def show(self, model: Any, writer: Any, step: int) -> None:
        """How much each code of each codebook is used, as its averages have it."""
        for position, quantizer in model.audio.quantizers.items():
            writer.add_histogram(f"dev/mass_{position}", quantizer.mass.float().cpu().numpy(), step)


def build_model(experiment: UnitLearningExperiment) -> ResDAVEnetVQ:
    """The model with the weights it starts from."""
    torch.manual_seed(experiment.trainer.seed)
    audio = replace(experiment.model, n_mels=experiment.data.bank.n_mels)
    model = ResDAVEnetVQ(ResDAVEnetVQConfig(audio, experiment.encoder, experiment.margin))
    if experiment.encoder_from:
        assert model.picture is not None
        load_encoder(model.picture.encoder, experiment.encoder_from)
    if experiment.weights:
        start_from(model, experiment.weights)
    return model


def start_from(model: ResDAVEnetVQ, path: str | Path) -> None:
    """Take the weights of an earlier stage of a curriculum; quantizers that it did not have stay new.

    Raises:
        ConfigurationError: no such file, or one that differs in more than that; the first names are told.
    """
    if not Path(path).is_file():
        raise ConfigurationError(f"{path}: no such weights; run the earlier stage of the curriculum first.")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ConfigurationError(f"{path}: not a safetensors file ({error}).") from None
    own = model.state_dict()
    added = {name for name in set(own) - set(state) if name.startswith("audio.quantizers.")}
    added_positions = {name.split(".")[2] for name in added}
    incomplete = {name for name in state if name.startswith(tuple(f"audio.quantizers.{p}." for p in added_positions))}
    different = sorted((set(own) ^ set(state)) - added | incomplete)
    different = different or [name for name in state if own[name].shape != state[name].shape]
    if different:
        raise ConfigurationError(f"{path}: no earlier stage of this model; differs in {', '.join(different[:3])}.")
    with torch.no_grad():
        model.load_state_dict({**own, **state})


@torch.no_grad()
def dev_shown(experiment: UnitLearningExperiment, dataset: Dataset, model: ResDAVEnetVQ) -> Tensor:
    """What the validation shows: pictures (n, 3, H, W), or with a frozen encoder their regions (n, R, D)."""
    packed = dataset.array("dev", "pictures")[: experiment.data.dev_limit or None]
    spec = PictureSpec(experiment.data.size, experiment.data.size)
    chunks = (resized(packed[first : first + DEV_BATCH], spec) for first in range(0, len(packed), DEV_BATCH))
    pictures = (normalize(as_batch(chunk), spec) for chunk in chunks)
    if not experiment.frozen_views:
        return torch.cat([chunk.half() for chunk in pictures])
    assert model.picture is not None
    encoder = model.picture.encoder.eval()
    with processor_autocast():
        return torch.cat(
            [encoder(chunk.contiguous(memory_format=torch.channels_last)).bfloat16() for chunk in pictures]
        )


def run_unit_learning(experiment: UnitLearningExperiment, folder: Path) -> None:
    """Train the units; writes `units.safetensors` into `folder`."""
    config = experiment.data
    pictures, spoken = read_dataset(config.pictures), read_dataset(config.speech)
    model = build_model(experiment)
    assert model.picture is not None
    torch.set_num_threads(experiment.trainer.threads)
    speech = Speech(spoken, pictures.rows("train"), "train", config)
    packed, regions = pictures.array("train", "pictures"), None
    if experiment.frozen_views:
        source = AllPictures(packed, config)
        regions = compute_regions(model.picture.encoder, source, experiment.frozen_views, folder.parent / "regions")
        model.picture.encoder.requires_grad_(False)
    train = SpokenPictures(packed, speech, config, regions)
    dev = DevPairs(dev_shown(experiment, pictures, model), Speech(spoken, pictures.rows("dev"), "dev", config))
    training = Training(model, UnitLearningObjective(), experiment.optimizer, experiment.trainer)
    plan = shuffled_plan(len(train), config.batch_size, experiment.trainer.seed)
    loader: DataLoader = DataLoader(dev, batch_size=None, shuffle=False)
    fit(training, training_loader(train, plan, experiment.trainer), loader, folder, experiment.trainer)
    save_weights(training.best_model, folder / WEIGHTS)

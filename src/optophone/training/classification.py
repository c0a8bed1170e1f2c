"""Pretraining of an encoder on labelled pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from optophone.core.picture import PictureSpec
from optophone.data.augmentation import AugmentationConfig, augment, resize
from optophone.data.manifest import read_dataset
from optophone.data.pictures import as_batch, normalize
from optophone.data.steps import StepItems, shuffled_plan
from optophone.models.encoders.residual_grid import PictureClassifier, ResidualGrid, ResidualGridConfig
from optophone.training.experiment import TrainerConfig, Training, fit, training_loader
from optophone.training.optimization import OptimizerConfig
from optophone.training.weights import save_weights


@dataclass(frozen=True)
class LabelledPicturesConfig:
    """Which pictures, and how they are shown.

    Args:
        folder: written by `optophone prepare tiny-imagenet`.
        batch_size: pictures a step.
        sizes: (first step, pixels) pairs, rising: small pictures first make early steps cheap (Howard 2018).
        dev_size: pixels in validation.
        dev_limit: validation pictures; 0 for all.
    """

    folder: str
    batch_size: int = 64
    sizes: tuple[tuple[int, int], ...] = ((0, 64),)
    dev_size: int = 64
    dev_limit: int = 0
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)


@dataclass(frozen=True)
class ClassificationExperiment:
    """A whole configuration of kind "encoder"."""

    kind: Literal["encoder"]
    name: str
    data: LabelledPicturesConfig
    model: ResidualGridConfig = field(default_factory=ResidualGridConfig)
    dropout: float = 0.1
    label_smoothing: float = 0.1
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


class LabelledPictures(Dataset):
    """Batches of augmented pictures and labels, by step."""

    def __init__(self, pictures: np.ndarray, labels: np.ndarray, config: LabelledPicturesConfig) -> None:
        self.pictures, self.labels, self.config = pictures, labels, config
        self.spec = PictureSpec()

    def __getitem__(self, items: StepItems) -> tuple[Tensor, Tensor]:
        """(B, 3, size, size) normalised pictures and (B,) labels of a step."""
        indices = np.sort(np.asarray(items.indices))  # memory-mapped arrays like to be read forwards
        size = max((first, size) for first, size in self.config.sizes if first <= items.step)[1]
        views = augment(as_batch(self.pictures[indices]), size, self.config.augmentation, items.generator())
        return normalize(views, self.spec), torch.from_numpy(self.labels[indices])

    def __len__(self) -> int:
        return len(self.labels)


class ClassificationObjective:
    """Cross-entropy with label smoothing; accuracy on the development pictures."""

    def __init__(self, n_classes: int, label_smoothing: float) -> None:
        self.n_classes = n_classes
        self.label_smoothing = label_smoothing
        self.hits: list[Tensor] = []

    def training_loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Smoothed cross-entropy of one batch."""
        pictures, labels = batch
        logits = model(pictures.to(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return loss, {"loss": loss}

    def validate(self, model: nn.Module, batch: Any) -> None:
        """Collects which labels are among the first five guesses."""
        pictures, labels = batch
        ranks = (
            model(pictures.to(memory_format=torch.channels_last)).topk(min(5, self.n_classes)).indices
            == labels[:, None]
        )
        self.hits.append(ranks)

    def measures(self) -> dict[str, float]:
        """Top-1 and top-5 accuracy, 0..1."""
        hits = torch.cat(self.hits).float()
        self.hits.clear()
        return {"accuracy": float(hits[:, 0].mean()), "top_5": float(hits.sum(1).mean())}

    def show(self, model: nn.Module, writer: Any, step: int) -> None:
        """Nothing: the accuracy says it all."""


def dev_batches(
    pictures: np.ndarray, labels: np.ndarray, config: LabelledPicturesConfig
) -> list[tuple[Tensor, Tensor]]:
    """The validation set, resized once."""
    n = min(config.dev_limit or len(labels), len(labels))
    spec = PictureSpec()
    batches = []
    for first in range(0, n, 100):
        chunk = as_batch(pictures[first : min(first + 100, n)])
        chunk_labels = torch.tensor(labels[first : first + len(chunk)])
        batches.append((normalize(resize(chunk, config.dev_size), spec), chunk_labels))
    return batches


def run_classification(experiment: ClassificationExperiment, folder: Path) -> None:
    """Pretrain the encoder; writes `encoder.safetensors` into `folder` at the end."""
    dataset = read_dataset(experiment.data.folder)
    arrays = {s: (dataset.array(s, "pictures"), np.asarray(dataset.array(s, "labels"))) for s in ("train", "dev")}
    pictures, labels = arrays["train"]
    torch.manual_seed(experiment.trainer.seed)
    encoder = ResidualGrid(experiment.model)
    n_classes = int(labels.max()) + 1
    model = PictureClassifier(encoder, n_classes, experiment.dropout).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plan = shuffled_plan(len(labels), experiment.data.batch_size, experiment.trainer.seed)
    loader = training_loader(LabelledPictures(pictures, labels, experiment.data), plan, experiment.trainer)
    objective = ClassificationObjective(n_classes, experiment.label_smoothing)
    training = Training(model, objective, experiment.optimizer, experiment.trainer)
    dev: DataLoader = DataLoader(dev_batches(*arrays["dev"], experiment.data), batch_size=None)  # type: ignore[arg-type]
    fit(training, loader, dev, folder, experiment.trainer)
    best = training.best_model
    assert isinstance(best, PictureClassifier)
    save_weights(best.encoder, folder / "encoder.safetensors")
